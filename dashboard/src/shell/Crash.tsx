// The last resort of a screen: what it could not show, and the ways on.

import { type ErrorComponentProps, Link } from '@tanstack/react-router';
import { useI18n } from '../i18n/index.tsx';
import { Button, Notice } from '../ui/basics.tsx';

export function Crash({ error }: ErrorComponentProps) {
  const { t } = useI18n();
  return (
    <Notice tone="bad">
      <p>{t('crash')}</p>
      <p className="small soft"><bdi dir="ltr">{error instanceof Error ? error.message : String(error)}</bdi></p>
      <Button icon="refresh" onClick={() => location.reload()}>{t('reload')}</Button>
    </Notice>
  );
}

export function Missing() {
  const { t } = useI18n();
  return <div className="empty"><h1>{t('missing.title')}</h1><p>{t('missing.body')}</p><Link className="button" to="/">{t('nav.home')}</Link></div>;
}
