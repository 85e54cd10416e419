// The audit log: who changed what, when and from where, with the difference.

import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Fragment } from 'react';
import type { Schemas } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { type Key, useI18n } from '../../i18n/index.tsx';
import { AUDIT_ACTORS, AUDIT_OBJECTS, type AuditSearch } from '../../router.tsx';
import { Button, Choose, Empty, Loaded, Moment, Segments } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { SearchField } from '../../ui/list.tsx';
import { Difference } from './Difference.tsx';

type Entry = Schemas['AuditEntry'];

const SIZE = 50;

export function AuditLog() {
  const { t } = useI18n();
  const search = useSearch({ from: '/audit' });
  const navigate = useNavigate({ from: '/audit' });
  const { object, actor, name, by, before } = search;
  const read = useQuery(queries.audit({
    limit: SIZE,
    ...(object ? { action: `${object}.` } : {}), ...(actor ? { actor } : {}), ...(name ? { object_name: name } : {}), ...(by ? { actor_name: by } : {}), ...(before ? { older_than: before } : {}),
  }));
  /** A change of a filter begins with the newest entry. */
  const show = (next: Partial<Record<keyof AuditSearch, AuditSearch[keyof AuditSearch] | undefined>>) =>
    void navigate({ search: Object.fromEntries(Object.entries({ ...search, before: undefined, open: undefined, ...next }).filter(([, value]) => value !== undefined && value !== '')) });
  const filtered = Boolean(object ?? actor ?? name ?? by);
  return (
    <>
      <div className="head">
        <h1>{t('nav.audit')}</h1>
        <div className="row wrap">
          <Choose aria-label={t('audit.object')} value={object ?? ''} onChange={({ target }) => show({ object: target.value })}>
            <option value="">{t('audit.object.all')}</option>
            {AUDIT_OBJECTS.map((one) => <option key={one} value={one}>{one}</option>)}
          </Choose>
          <Segments<(typeof AUDIT_ACTORS)[number] | 'all'> name="actor" label={t('audit.author')} value={actor ?? 'all'} onChange={(next) => show({ actor: next === 'all' ? undefined : next })}
            choices={[['all', t('notifications.all')], ...AUDIT_ACTORS.map((one): [typeof one, string] => [one, t(`audit.actor.${one}` as Key)])]} />
        </div>
      </div>
      <div className="tools">
        <SearchField label={t('audit.name')} value={name ?? ''} onChange={(next) => show({ name: next })} />
        <SearchField label={t('audit.by')} value={by ?? ''} onChange={(next) => show({ by: next })} />
      </div>
      <Loaded of={read}>
        {({ items, next }) => (
          <>
            {items.length === 0
              ? <div className="tablebox">{filtered || before ? <Empty title={t('list.no_match')} action={<Button onClick={() => void navigate({ search: {} })}>{t('filters.clear')}</Button>} /> : <Empty title={t('audit.none')}>{t('audit.none.body')}</Empty>}</div>
              : <Entries entries={items} open={search.open} onOpen={(open) => show({ before, open })} />}
            <div className="row">
              {before !== undefined && <Button onClick={() => show({})}>{t('audit.newest')}</Button>}
              {next != null && <Button onClick={() => show({ before: next })}>{t('audit.older')}</Button>}
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function Entries({ entries, open, onOpen }: { entries: Entry[]; open: number | undefined; onOpen: (id: number | undefined) => void }) {
  const { t, f } = useI18n();
  return (
    <div className="tablebox" tabIndex={0} role="group" aria-label={t('nav.audit')}>
      <table className="list">
        <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('audit.author')}</th><th scope="col">{t('audit.action')}</th><th scope="col">{t('audit.object')}</th><th scope="col" className="end">{t('audit.count')}</th><th scope="col"><span className="hidden">{t('audit.difference')}</span></th></tr></thead>
        <tbody>
          {entries.map((entry) => (
            <Fragment key={entry.id}>
              <tr>
                <td><Moment at={entry.at} /></td>
                <td>
                  {entry.actor_name != null ? <bdi>{entry.actor_name}</bdi> : t(`audit.actor.${entry.actor}` as Key)}
                  {entry.token_id != null && <span className="small soft" style={{ display: 'block' }}>{t('audit.token')} <code className="break">{entry.token_id}</code></span>}
                  {entry.address != null && <span className="small soft" style={{ display: 'block' }}><bdi dir="ltr">{entry.address}</bdi></span>}
                </td>
                <td><code>{entry.action}</code></td>
                <td><bdi>{entry.object_name ?? (entry.object_id != null ? `#${entry.object_id}` : '')}</bdi></td>
                <td className="end">{f.number(entry.objects)}</td>
                <td className="end">
                  <button type="button" className="button plain" aria-expanded={open === entry.id} aria-label={t('audit.difference')} onClick={() => onOpen(open === entry.id ? undefined : entry.id)}>
                    <Icon name={open === entry.id ? 'up' : 'down'} />
                  </button>
                </td>
              </tr>
              {open === entry.id && <tr><td colSpan={6}><Difference entry={entry} /></td></tr>}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}
