// Requests that the first screen needs, sent before the libraries are there: on a slow line their answers arrive meanwhile.
// The screens ask as always, and get an answer that is under way if theirs is the same request.

import { root } from './root.ts';
import { session } from './session.ts';

interface Asked { token: string; end: AbortController; answer: Promise<Response> }

const asked = new Map<string, Asked>();

/** The same for all ways to write it. */
const nameOf = (url: URL) => `${url.pathname}?${url.searchParams.toString()}`;

/** Sends requests for paths below the panel's root, the most urgent first: it gets the connection that is open already. */
export function askEarly(paths: string[]): void {
  const token = session.token();
  // What a hidden page needs is not urgent, and may never be shown.
  if (token === null || document.hidden) return;
  for (const path of paths) {
    const end = new AbortController();
    const url = new URL(path, root);
    const answer = fetch(url, { headers: { authorization: `Bearer ${token}` }, signal: end.signal, cache: 'no-store', credentials: 'omit' });
    // Whoever takes it learns of the error.
    answer.catch(() => undefined);
    asked.set(nameOf(url), { token, end, answer });
  }
}

/** Like `fetch`; the answer may be under way. */
export function fetchEarly(request: Request): Promise<Response> {
  const name = nameOf(new URL(request.url));
  const early = asked.get(name);
  if (early === undefined || request.method !== 'GET' || request.headers.has('last-event-id') || request.headers.get('authorization') !== `Bearer ${early.token}`) return fetch(request);
  asked.delete(name);
  const { signal } = request;
  if (signal.aborted) early.end.abort(signal.reason);
  else signal.addEventListener('abort', () => early.end.abort(signal.reason));
  return early.answer;
}

/** Ends what no screen has taken: later, its answer would be old. */
export function forgetEarly(): void {
  for (const { end } of asked.values()) end.abort();
  asked.clear();
}
