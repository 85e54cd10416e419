// Scheduled back-ups: where they go, the last one, and one more at once.

import type { Cluster } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Facts, Moment, Panel, Status } from '../../ui/basics.tsx';
import { useOverlays } from '../../ui/overlays.tsx';
import { runTask } from './acts.ts';

export function BackUps({ of }: { of: Cluster['back_up'] }) {
  const { t, f } = useI18n();
  const { ask } = useOverlays();
  if (of == null) return <Panel title={t('backup.title')}><p className="soft">{t('backup.off')}</p></Panel>;
  const now = <Button needs="cluster:write" onClick={() => ask({ ...runTask('back_up', t), title: t('backup.now'), body: t('backup.now.body'), act: t('backup.now') })}>{t('backup.now')}</Button>;
  return (
    <Panel title={t('backup.title')} aside={now}>
      <Facts facts={[
        [t('backup.place'), <bdi key="place" dir="ltr">{of.place}</bdi>],
        [t('backup.last'), of.last_at != null ? <Moment key="last" at={of.last_at} /> : <Status key="last" tone="attention">{t('backup.never')}</Status>],
        ...(of.bytes != null ? [[t('backup.size'), f.bytes(of.bytes)] as [string, React.ReactNode]] : []),
      ]} />
    </Panel>
  );
}
