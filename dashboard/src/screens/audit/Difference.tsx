// An entry of the audit log in full: each field before and after, and what proves the entry.

import type { Schemas } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';

type Fields = Record<string, unknown>;

const shown = (value: unknown) => (value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value, null, 1));

export function Difference({ entry }: { entry: Schemas['AuditEntry'] }) {
  const { t, f } = useI18n();
  const [before, after] = [(entry.before ?? {}) as Fields, (entry.after ?? {}) as Fields];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return (
    <>
      {names.length > 0 && (
        <table className="list" dir="ltr">
          <thead><tr><th scope="col">{t('audit.field')}</th><th scope="col">{t('audit.before')}</th><th scope="col">{t('audit.after')}</th></tr></thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row"><code>{name}</code></th>
                <td><pre className="text">{shown(before[name])}</pre></td>
                <td><pre className="text">{shown(after[name])}</pre></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p className="small soft">
        {entry.seal != null ? t('audit.sealed', { seal: f.number(entry.seal) }) : t('audit.unsealed')}
        {entry.request_id != null && <> <bdi dir="ltr"><code>{entry.request_id}</code></bdi></>}
      </p>
    </>
  );
}
