// The columns of the list of users: which ones are shown, and their cells.

import { useQuery } from '@tanstack/react-query';
import type { User } from '../../api/client.ts';
import * as queries from '../../api/queries.ts';
import { moment } from '../../i18n/format.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Moment } from '../../ui/basics.tsx';
import { Icon } from '../../ui/icons.tsx';
import { ActionMenu } from '../../ui/overlays.tsx';
import { COLUMNS, type Column, type Sort, type UserSearch } from './search.ts';
import { Ends, Online, Usage } from './state.tsx';

const USUAL: Column[] = ['usage', 'ends', 'online', 'owner'];
export const SORTED_BY: Partial<Record<Column, Sort>> = { usage: 'used_traffic', limit: 'data_limit', ends: 'expire_date', created: 'created_at' };
/** On a phone the others are left out. */
export const NARROW: readonly Column[] = ['usage', 'ends'];
const STORED = 'sarban.users.columns';

/** The columns that the URL says, or those that were chosen last. */
export function columnsOf(search: UserSearch): Column[] {
  const names = (search.cols ?? localStorage.getItem(STORED))?.split(',');
  return names === undefined ? USUAL : COLUMNS.filter((column) => names.includes(column));
}

export function ColumnMenu({ columns, onChange }: { columns: Column[]; onChange: (cols: string) => void }) {
  const { t } = useI18n();
  return (
    <ActionMenu
      label={t('columns')}
      actions={COLUMNS.map((column) => ({
        id: column,
        label: t(`column.${column}`),
        icon: columns.includes(column) ? 'check' : 'plus',
        run: () => {
          const cols = COLUMNS.filter((other) => (other === column ? !columns.includes(column) : columns.includes(other))).join(',');
          localStorage.setItem(STORED, cols);
          onChange(cols);
        },
      }))}
    >
      <Icon name="columns" />{t('columns')}
    </ActionMenu>
  );
}

export function Cell({ user, column }: { user: User; column: Column }) {
  const { t, f } = useI18n();
  switch (column) {
    case 'usage': return <Usage user={user} />;
    case 'limit': return <span className="nowrap">{user.data_limit == null ? <span className="soft">{t('unlimited')}</span> : f.bytes(user.data_limit)}</span>;
    case 'ends': return <Ends user={user} />;
    case 'online': return <Online user={user} />;
    case 'owner': return <bdi className="soft">{user.owner_username ?? '—'}</bdi>;
    case 'services': return <Services ids={user.service_ids} />;
    case 'lifetime': return <span className="nowrap">{f.bytes(user.lifetime_used_traffic)}</span>;
    case 'fetched': return user.sub_updated_at == null ? <span className="soft">—</span> : <span className="soft"><Moment at={user.sub_updated_at} /></span>;
    case 'app': return <bdi dir="ltr" className="soft">{user.sub_last_user_agent ?? ''}</bdi>;
    case 'created': return <span className="soft nowrap">{f.date(moment(user.created_at))}</span>;
    case 'note': return <bdi className="soft">{user.note ?? ''}</bdi>;
  }
}

function Services({ ids }: { ids: number[] }) {
  const { f } = useI18n();
  const services = useQuery(queries.services());
  const name = (id: number) => services.data?.items.find((service) => service.id === id)?.name ?? `#${id}`;
  return <bdi className="soft">{ids.length === 0 ? '—' : f.list(ids.map(name))}</bdi>;
}
