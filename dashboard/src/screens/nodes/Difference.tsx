// Two texts as removed and added lines.

import { useDeferredValue, useMemo } from 'react';
import { useI18n } from '../../i18n/index.tsx';
import { type Hunk, difference, hunks } from '../../ui/diff.ts';

/** Lines that are drawn; more are counted. */
const MOST = 2_000;

function shorten(all: Hunk[]): Hunk[] {
  let left = MOST;
  return all.flatMap((hunk) => {
    const part = hunk.slice(0, left);
    left -= part.length;
    return part.length > 0 ? [part] : [];
  });
}

export function Difference({ before, after }: { before: string; after: string }) {
  const { t } = useI18n();
  // While somebody types into a large text, typing comes first.
  const [from, to] = [useDeferredValue(before), useDeferredValue(after)];
  const all = useMemo(() => hunks(difference(from, to)), [from, to]);
  const parts = useMemo(() => shorten(all), [all]);
  const left = all.flat().length - parts.flat().length;
  if (parts.length === 0) return <p className="soft">{t('config.same')}</p>;
  return (
    <div className="diff" tabIndex={0} role="group" aria-label={t('config.difference')} dir="ltr">
      <table>
        <caption className="hidden">{t('config.difference')}</caption>
        {parts.map((hunk) => (
          <tbody key={hunk[0] && `${hunk[0].before} ${hunk[0].after}`}>
            {hunk.map((part) => (
              <tr key={`${part.kind} ${part.before} ${part.after}`} className={part.kind}>
                <td className="place">{part.kind === 'added' ? part.after : part.before}</td>
                <td className="sign">{part.kind === 'added' ? '+' : part.kind === 'removed' ? '−' : ''}</td>
                <td><code>{part.text}</code></td>
              </tr>
            ))}
          </tbody>
        ))}
      </table>
      {left > 0 && <p className="soft" dir="auto">{t('config.difference.more', { count: left })}</p>}
    </div>
  );
}
