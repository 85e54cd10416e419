// Keys that work everywhere: Ctrl-K, `?`, `/`, `g` and a letter. None while something is typed or a dialog is open.

import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import type { Place } from './places.ts';

/** True if a key belongs to what is focused or open, not to the page. */
export function isTyping(event: Event): boolean {
  // The editor is in a shadow root, outside of which the target is only its host.
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  return target.closest('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], [role=dialog], [role=alertdialog], [role=menu]') !== null;
}

export function useShortcuts(places: Place[], open: { palette: () => void; keys: () => void }): void {
  const navigate = useNavigate();
  const latest = useRef({ ...open, places });
  latest.current = { ...open, places };
  useEffect(() => {
    let leading = 0;
    const listen = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.code === 'KeyK') {
        event.preventDefault();
        latest.current.palette();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const code = event.code;
      if (event.key === '?') latest.current.keys();
      else if (event.key === '/') {
        const search = document.querySelector<HTMLInputElement>('main input[type=search]');
        if (search === null) return;
        event.preventDefault();
        search.focus();
      } else if (Date.now() - leading < 1_200) {
        leading = 0;
        const place = latest.current.places.find(({ letter }) => code === `Key${letter.toUpperCase()}`);
        if (place !== undefined) {
          event.preventDefault();
          event.stopImmediatePropagation();
          void navigate({ to: place.to });
        }
      } else if (code === 'KeyG') leading = Date.now();
    };
    window.addEventListener('keydown', listen, true);
    return () => window.removeEventListener('keydown', listen, true);
  }, [navigate]);
}
