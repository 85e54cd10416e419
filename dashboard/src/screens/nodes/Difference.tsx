// Two texts as removed and added lines.

import { useMemo } from 'react';
import { useI18n } from '../../i18n/index.tsx';
import { difference, hunks } from '../../ui/diff.ts';

export function Difference({ before, after }: { before: string; after: string }) {
  const { t } = useI18n();
  const parts = useMemo(() => hunks(difference(before, after)), [before, after]);
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
    </div>
  );
}
