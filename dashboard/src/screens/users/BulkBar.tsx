// What is selected, and what can be done to it.

import { useMay } from '../../api/rights.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button } from '../../ui/basics.tsx';
import type { IconName } from '../../ui/icons.tsx';
import { type Action, ActionMenu } from '../../ui/overlays.tsx';
import type { BulkAct } from './bulk.ts';
import type { Selecting } from './selection.ts';

const IN_MENU: [BulkAct, IconName][] = [
  ['enable', 'check'], ['disable', 'close'], ['reset', 'refresh'], ['revoke', 'alert'], ['set_owner', 'admins'], ['add_service', 'plus'], ['remove_service', 'close'],
];

export function BulkBar({ selecting, total, onAct, onPrint }: { selecting: Selecting; total: number; onAct: (act: BulkAct) => void; onPrint: () => void }) {
  const { t } = useI18n();
  const may = useMay();
  const actions: (Action | null)[] = IN_MENU.filter(([act]) => act !== 'set_owner' || (may('users:write') && may('admins:read')))
    .map(([act, icon]) => ({ id: act, icon, label: t(`act.${act}`), run: () => onAct(act) }));
  return (
    <div className="bulk" role="region" aria-label={t('bulk')}>
      <strong role="status">{selecting.all ? t('selected.all', { count: total }) : t('selected', { count: selecting.count })}</strong>
      {!selecting.all && selecting.count < total && <Button look="quiet" onClick={selecting.everything}>{t('select.matching', { count: total })}</Button>}
      <span className="grow" />
      <Button onClick={() => onAct('extend')}>{t('act.extend')}</Button>
      <Button onClick={() => onAct('add_data')}>{t('act.add_data')}</Button>
      <ActionMenu label={t('actions')} actions={[
        ...actions,
        { id: 'print', icon: 'print', label: t('sheet.print'), run: onPrint },
        null,
        { id: 'delete', icon: 'trash', bad: true, label: t('act.delete'), run: () => onAct('delete') },
      ]}>
        {t('actions')}
      </ActionMenu>
      <Button look="quiet" icon="close" label={t('select.clear')} data-escape onClick={selecting.clear} />
    </div>
  );
}
