import './begin.ts';
import './styles/tokens.css';
import './styles/base.css';
import './styles/ui.css';
import './styles/shell.css';
import './styles/fleet.css';
import './styles/hosts.css';
import './styles/users.css';
import './styles/contrast.css';

import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import { forgetEarly } from './api/early.ts';
import { followEvents } from './api/events.ts';
import { queryClient } from './api/queries.ts';
import { session } from './api/session.ts';
import { Localized } from './i18n/index.tsx';
import { firstLanguage, loadTexts } from './i18n/texts.ts';
import { router } from './router.tsx';
import { Setup } from './screens/Setup.tsx';
import { SignIn, SignInAgain } from './screens/SignIn.tsx';
import { applyTheme } from './shell/theme.ts';
import { OverlayHost } from './ui/overlays.tsx';

applyTheme();

// Nothing of one admin's session stays for the next.
let last = session.admin();
session.subscribe(() => {
  if (session.admin() !== last) queryClient.clear();
  last = session.admin();
});

function onHashChange(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}

function Root() {
  const token = useSyncExternalStore(session.subscribe, session.token);
  const admin = useSyncExternalStore(session.subscribe, session.admin);
  // The admin whose screens are open. They stay when the session ends by itself, with all that was typed.
  const [opened, setOpened] = useState(token === null ? null : admin);
  if ((token !== null || admin === null) && opened !== admin) setOpened(admin);
  const ended = useRef(false);
  useEffect(() => {
    if (token === null) {
      ended.current = true;
      return;
    }
    if (ended.current) void queryClient.invalidateQueries();
    ended.current = false;
    return followEvents();
  }, [token]);
  // A setup link may be opened in a tab that is open already.
  const hash = useSyncExternalStore(onHashChange, () => location.hash);
  const code = /^#\/setup\/([\w-]+)$/.exec(hash)?.[1];
  if (admin === null || opened !== admin) return code === undefined ? <SignIn /> : <Setup code={code} />;
  return (
    <OverlayHost key={admin}>
      <RouterProvider router={router} />
      {token === null && <SignInAgain admin={admin} />}
    </OverlayHost>
  );
}

async function show(place: HTMLElement): Promise<void> {
  // Asked for by `begin.ts` already.
  await loadTexts(firstLanguage());
  createRoot(place).render(
    <StrictMode>
      <Localized>
        <QueryClientProvider client={queryClient}>
          <Root />
        </QueryClientProvider>
      </Localized>
    </StrictMode>,
  );
  setTimeout(forgetEarly, 2_000);
}

const place = document.getElementById('app');
if (place !== null) void show(place);
