// What one reader prefers in this browser: language, calendar, theme. And the way out.

import { useState } from 'react';
import { LANGUAGES, type Language, useI18n } from '../i18n/index.tsx';
import { Button, Choose, Field, Segments } from '../ui/basics.tsx';
import { Drawer } from '../ui/overlays.tsx';
import { useSignOut } from '../ui/unsaved.tsx';
import { useMe } from './Shell.tsx';
import { setContrast, setTheme, storedContrast, storedTheme } from './theme.ts';

export function Preferences({ onClose }: { onClose: () => void }) {
  const { t, language, setLanguage, calendar, setCalendar } = useI18n();
  const me = useMe();
  const signOut = useSignOut();
  const [theme, chooseTheme] = useState(storedTheme);
  const [contrast, chooseContrast] = useState(storedContrast);
  return (
    <Drawer title={t('preferences.title')} name={t('preferences.title')} onClose={onClose}>
      <div className="body">
        {me && <p>{t('preferences.as', { name: me.username })} <span className="soft">({t(me.is_sudo ? 'admin.sudo' : 'admin.reseller')})</span></p>}
        <Field label={t('preferences.language')}>
          {(attributes) => (
            <Choose {...attributes} value={language} onChange={(event) => setLanguage(event.target.value as Language)}>
              {Object.entries(LANGUAGES).map(([code, name]) => <option key={code} value={code} lang={code}>{name}</option>)}
            </Choose>
          )}
        </Field>
        <div className="field">
          <span className="label">{t('preferences.calendar')}</span>
          <Segments name="calendar" label={t('preferences.calendar')} value={calendar} onChange={setCalendar}
            choices={[['gregory', t('calendar.gregory')], ['persian', t('calendar.persian')]]} />
        </div>
        <div className="field">
          <span className="label">{t('preferences.theme')}</span>
          <Segments name="theme" label={t('preferences.theme')} value={theme}
            onChange={(next) => { setTheme(next); chooseTheme(next); }}
            choices={[['system', t('theme.system')], ['light', t('theme.light')], ['dark', t('theme.dark')]]} />
        </div>
        <label className="option">
          <input type="checkbox" checked={contrast} onChange={(event) => { setContrast(event.target.checked); chooseContrast(event.target.checked); }} />
          {t('theme.contrast')}
        </label>
      </div>
      <footer>
        <Button icon="out" onClick={signOut}>{t('signout')}</Button>
      </footer>
    </Drawer>
  );
}
