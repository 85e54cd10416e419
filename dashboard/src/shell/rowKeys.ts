// Keys in the tables of every screen: the arrows or j and k move along the rows, Enter opens one, Space or x selects it, Esc
// leaves it. A row opens by its first link or button, and is selected by its box.

import { useEffect } from 'react';
import { isTyping } from './shortcuts.ts';

const rowsOf = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('main table.list > tbody > tr')];

function go(row: HTMLElement | undefined): void {
  if (row === undefined) return;
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: 'nearest' });
}

/** The row that a key leads to. */
function next(rows: HTMLElement[], at: number, event: KeyboardEvent): HTMLElement | undefined {
  if (event.key === 'Home' && at >= 0) return rows[0];
  if (event.key === 'End' && at >= 0) return rows.at(-1);
  const step = event.key === 'ArrowDown' || event.code === 'KeyJ' ? 1 : event.key === 'ArrowUp' || event.code === 'KeyK' ? -1 : 0;
  return step === 0 ? undefined : rows[Math.min(rows.length - 1, Math.max(0, at + step))];
}

export function useRowKeys(): void {
  useEffect(() => {
    let last: HTMLElement | null = null;
    const listen = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof HTMLElement)) return;
      const { target } = event;
      if (target.matches('main input[type=search]')) {
        // From the search into what it found.
        if (event.key === 'Escape') target.blur();
        else if (event.key === 'ArrowDown' && rowsOf().length > 0) {
          event.preventDefault();
          go(rowsOf()[0]);
        }
        return;
      }
      if (isTyping(event) || target.matches('input[type=radio]')) return;
      const rows = rowsOf();
      const focused = target.closest<HTMLElement>('main table.list > tbody > tr');
      // Where the keyboard was before a dialog, or before what was pressed went away.
      const row = focused ?? (last !== null && rows.includes(last) ? last : null);
      const to = next(rows, row === null ? -1 : rows.indexOf(row), event);
      const press = (selector: string) => {
        const found = row?.querySelector<HTMLElement>(selector);
        if (found == null) return;
        event.preventDefault();
        found.click();
      };
      if (to !== undefined) {
        event.preventDefault();
        last = to;
        go(to);
      } else if (event.key === 'Enter' && (target === row || target.matches('body, main'))) press('a[href], button');
      else if ((event.key === ' ' && target === row) || event.code === 'KeyX') press('input[type=checkbox]');
      else if (event.code === 'KeyN') document.querySelector<HTMLElement>('main [data-new]')?.click();
      else if (event.key === 'Escape') {
        document.querySelector<HTMLElement>('main [data-escape]')?.click();
        focused?.blur();
        last = null;
      }
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);
}
