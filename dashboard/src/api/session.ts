// The signed-in admin's token: in this browser's storage, never in a URL. All tabs of the origin share it.

const TOKEN = 'sarban.token';
/** The admin whose session has ended by itself and who may go on by signing in again. */
const ENDED = 'sarban.ended';
const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of listeners) listener();
}

interface Claims { sub?: unknown; sid?: unknown }
let decoded: [token: string, claims: Claims] = ['', {}];

function claimsOf(token: string): Claims {
  if (decoded[0] !== token) {
    let claims: Claims = {};
    try {
      const text = atob((token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/'));
      claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (byte) => byte.charCodeAt(0)))) as Claims;
    } catch {
      // Not a token that can be read.
    }
    decoded = [token, claims];
  }
  return decoded[1];
}

/** The admin that a token names; a token that names none is an admin of its own. */
function adminOf(token: string): string {
  const { sub } = claimsOf(token);
  return typeof sub === 'string' ? sub : token;
}

export const session = {
  token: (): string | null => localStorage.getItem(TOKEN),
  /** The id of the session at the panel; null if it has none. */
  id(): string | null {
    const token = localStorage.getItem(TOKEN);
    const { sid } = token === null ? {} : claimsOf(token);
    return typeof sid === 'string' ? sid : null;
  },
  /** The admin who is signed in, or whose session has ended and can go on; null after signing out. */
  admin(): string | null {
    const token = localStorage.getItem(TOKEN);
    return token === null ? localStorage.getItem(ENDED) : adminOf(token);
  },
  /** True when the session has ended by itself: screens stay, and the admin signs in again. */
  hasEnded: (): boolean => localStorage.getItem(TOKEN) === null && localStorage.getItem(ENDED) !== null,
  start(token: string): void {
    localStorage.setItem(TOKEN, token);
    localStorage.removeItem(ENDED);
    changed();
  },
  /** `ended`: the panel does not take the token any more; otherwise the admin signs out. */
  end(why: 'ended' | null): void {
    const token = localStorage.getItem(TOKEN);
    if (why === 'ended' && token !== null) localStorage.setItem(ENDED, adminOf(token));
    if (why === null) localStorage.removeItem(ENDED);
    localStorage.removeItem(TOKEN);
    changed();
  },
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  /** Resolves at once, or when an ended session goes on; rejects when it is another admin's then, or when `signal` aborts. */
  goesOn(signal: AbortSignal): Promise<void> {
    const admin = session.admin();
    if (!session.hasEnded()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = () => { leave(); signal.removeEventListener('abort', abort); };
      const abort = () => { stop(); reject(signal.reason); };
      const leave = session.subscribe(() => {
        if (session.hasEnded()) return;
        stop();
        if (session.admin() === admin) resolve();
        else reject(new DOMException('another admin has signed in', 'AbortError'));
      });
      signal.addEventListener('abort', abort);
    });
  },
};

// Another tab signed in or out.
window.addEventListener('storage', (event) => {
  if (event.key === TOKEN || event.key === ENDED || event.key === null) changed();
});
