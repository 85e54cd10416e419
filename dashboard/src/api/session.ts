// The signed-in admin's token: in this browser's storage, never in a URL. All tabs of the origin share it.

const KEY = 'sarban.token';
const listeners = new Set<() => void>();

/** Why the admin has to sign in again. */
export type EndReason = 'ended' | null;
let reason: EndReason = null;

function changed(): void {
  for (const listener of listeners) listener();
}

export const session = {
  token: (): string | null => localStorage.getItem(KEY),
  reason: (): EndReason => reason,
  start(token: string): void {
    reason = null;
    localStorage.setItem(KEY, token);
    changed();
  },
  end(why: EndReason): void {
    if (localStorage.getItem(KEY) === null) return;
    reason = why;
    localStorage.removeItem(KEY);
    changed();
  },
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

// Another tab signed in or out.
window.addEventListener('storage', (event) => {
  if (event.key === KEY || event.key === null) changed();
});
