// The line above the list of users: its search, what narrows it, its order, its columns.

import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import * as queries from '../../api/queries.ts';
import { useMay } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { SearchField } from '../../ui/list.tsx';
import { ColumnMenu, columnsOf } from './columns.tsx';
import { ENDS, SORTS, STATES, type Sort, type StateFilter, type UserSearch } from './search.ts';

type Change = (next: Partial<UserSearch>) => void;

export function Filters({ search, change }: { search: UserSearch; change: Change }) {
  const { t } = useI18n();
  const [open, setOpen] = useState(false);
  return (
    <>
      <div className="tools">
        <SearchField label={t('users.search')} value={search.q ?? ''} onChange={(q) => change({ q: q === '' ? undefined : q })} />
        <Pick label={t('user.status')} value={search.state ?? ''} onChange={(state) => change({ state: (state || undefined) as StateFilter | undefined })}>
          <option value="">{t('state.all')}</option>
          {STATES.map((state) => <option key={state} value={state}>{t(`state.${state}`)}</option>)}
        </Pick>
        <Button icon="settings" aria-expanded={open} onClick={() => setOpen(!open)}>{t('filters.more')}</Button>
        <span className="wide-only"><ColumnMenu columns={columnsOf(search)} onChange={(cols) => change({ cols, page: search.page })} /></span>
      </div>
      {open && <More search={search} change={change} />}
      <Chips search={search} change={change} />
    </>
  );
}

function Pick({ label, value, onChange, children }: { label: string; value: string; onChange: (value: string) => void; children: ReactNode }) {
  return (
    <span className="pick" style={{ flex: '0 1 170px' }}>
      <Choose aria-label={label} value={value} onChange={(event) => onChange(event.target.value)}>{children}</Choose>
    </span>
  );
}

function More({ search, change }: { search: UserSearch; change: Change }) {
  const { t } = useI18n();
  const may = useMay();
  const ofOthers = may('users:read') && may('admins:read');
  const admins = useQuery({ ...queries.admins(), enabled: ofOthers });
  const services = useQuery(queries.services());
  return (
    <div className="tools" role="group" aria-label={t('filters.more')}>
      {ofOthers && (
        <Pick label={t('column.owner')} value={search.owner ?? ''} onChange={(owner) => change({ owner: owner || undefined })}>
          <option value="">{t('owner.all')}</option>
          {admins.data?.items.map((admin) => <option key={admin.id} value={admin.username}>{admin.username}</option>)}
        </Pick>
      )}
      <Pick label={t('column.services')} value={String(search.service ?? '')} onChange={(id) => change({ service: id === '' ? undefined : Number(id) })}>
        <option value="">{t('service.all')}</option>
        {services.data?.items.map((service) => <option key={service.id} value={service.id}>{service.name ?? `#${service.id}`}</option>)}
      </Pick>
      <Pick label={t('column.ends')} value={String(search.ends ?? '')} onChange={(days) => change({ ends: days === '' ? undefined : Number(days) })}>
        <option value="">{t('ends.all')}</option>
        {ENDS.map((count) => <option key={count} value={count}>{t('ends.within', { count })}</option>)}
      </Pick>
      <Pick label={t('on_nodes')} value={String(search.on_nodes ?? '')} onChange={(is) => change({ on_nodes: is === '' ? undefined : is === 'true' })}>
        <option value="">{t('on_nodes.all')}</option>
        <option value="true">{t('on_nodes.yes')}</option>
        <option value="false">{t('on_nodes.no')}</option>
      </Pick>
      <Pick label={t('sort')} value={search.sort ?? ''} onChange={(sort) => change({ sort: (sort || undefined) as Sort | undefined, desc: undefined })}>
        <option value="">{t('sort.none')}</option>
        {SORTS.map((sort) => <option key={sort} value={sort}>{t(`sort.${sort}`)}</option>)}
      </Pick>
      {search.sort !== undefined && (
        <Button icon={search.desc === true ? 'down' : 'up'} onClick={() => change({ desc: search.desc === true ? undefined : true })}>{t(search.desc === true ? 'sort.descending' : 'sort.ascending')}</Button>
      )}
    </div>
  );
}

function Chips({ search, change }: { search: UserSearch; change: Change }) {
  const { t } = useI18n();
  const services = useQuery({ ...queries.services(), enabled: search.service !== undefined });
  const service = services.data?.items.find(({ id }) => id === search.service)?.name ?? `#${search.service}`;
  const chips: [string, string, Partial<UserSearch>][] = [];
  if (search.state !== undefined) chips.push([t('user.status'), t(`state.${search.state}`), { state: undefined }]);
  if (search.owner !== undefined) chips.push([t('column.owner'), search.owner, { owner: undefined }]);
  if (search.service !== undefined) chips.push([t('column.services'), service, { service: undefined }]);
  if (search.ends !== undefined) chips.push([t('column.ends'), t('ends.within', { count: search.ends }), { ends: undefined }]);
  if (search.on_nodes !== undefined) chips.push([t('on_nodes'), t(search.on_nodes ? 'on_nodes.yes' : 'on_nodes.no'), { on_nodes: undefined }]);
  if (chips.length === 0) return null;
  return (
    <div className="chips" style={{ marginBlockEnd: 12 }}>
      {chips.map(([name, value, off]) => {
        const label = t('filter.chip', { name, value });
        return (
          <span key={name} className="chip"><bdi>{label}</bdi><button type="button" aria-label={t('filter.remove', { name: label })} onClick={() => change(off)}><Icon name="close" /></button></span>
        );
      })}
    </div>
  );
}
