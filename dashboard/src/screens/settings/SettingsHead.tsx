// The title of the settings, and the way between their parts.

import { Link } from '@tanstack/react-router';
import { useI18n } from '../../i18n/index.tsx';

export function SettingsHead() {
  const { t } = useI18n();
  return (
    <div className="head">
      <h1>{t('nav.settings')}</h1>
      <nav className="row" aria-label={t('settings.parts')}>
        <Link className="button" to="/settings" activeOptions={{ exact: true }} activeProps={{ 'aria-current': 'page' }}>{t('settings.subscription')}</Link>
        <Link className="button" to="/settings/telegram" activeProps={{ 'aria-current': 'page' }}>{t('settings.telegram')}</Link>
      </nav>
    </div>
  );
}
