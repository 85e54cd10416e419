// A list that was changed here, and elsewhere meanwhile: it is not sent, and can be loaded again.

import { useI18n } from '../../i18n/index.tsx';
import { Button, Notice } from '../../ui/basics.tsx';

export function Overtaken({ onLoad }: { onLoad: () => void }) {
  const { t } = useI18n();
  return <div role="alert"><Notice tone="attention"><p>{t('settings.overtaken')}</p><Button icon="refresh" onClick={onLoad}>{t('reload')}</Button></Notice></div>;
}
