import './styles/tokens.css';
import './styles/base.css';
import './styles/ui.css';
import './styles/shell.css';
import './styles/fleet.css';
import './styles/hosts.css';

import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode, useEffect, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import { followEvents } from './api/events.ts';
import { queryClient } from './api/queries.ts';
import { session } from './api/session.ts';
import { Localized } from './i18n/index.tsx';
import { router } from './router.tsx';
import { Setup } from './screens/Setup.tsx';
import { SignIn } from './screens/SignIn.tsx';
import { applyTheme } from './shell/theme.ts';
import { OverlayHost } from './ui/overlays.tsx';

applyTheme();

function onHashChange(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}

function Root() {
  const token = useSyncExternalStore(session.subscribe, session.token);
  // Nothing of one admin's session stays for the next.
  useEffect(() => {
    const end = token === null ? () => {} : followEvents();
    return () => {
      end();
      queryClient.clear();
    };
  }, [token]);
  // A setup link may be opened in a tab that is open already.
  const hash = useSyncExternalStore(onHashChange, () => location.hash);
  const code = /^#\/setup\/([\w-]+)$/.exec(hash)?.[1];
  if (token === null) return code === undefined ? <SignIn /> : <Setup code={code} />;
  return (
    <OverlayHost key={token}>
      <RouterProvider router={router} />
    </OverlayHost>
  );
}

const place = document.getElementById('app');
if (place !== null) {
  createRoot(place).render(
    <StrictMode>
      <Localized>
        <QueryClientProvider client={queryClient}>
          <Root />
        </QueryClientProvider>
      </Localized>
    </StrictMode>,
  );
}
