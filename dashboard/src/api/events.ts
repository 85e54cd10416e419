// Changes that the panel announces. Open screens read again what changed, and poll less often while announcements arrive.
// Only a visible page follows: a browser has six connections to a panel, for all its tabs.

import { type Query } from '@tanstack/react-query';
import { type Change, concerns, parse } from './announcements.ts';
import { root } from './client.ts';
import { live } from './live.ts';
import { queryClient } from './queries.ts';
import { session } from './session.ts';

/** Milliseconds without a byte after which a connection counts as lost; the panel sends one every 15 seconds. */
const SILENCE = 40_000;
/** Milliseconds before the next try: at first, and at most. */
const RETRY = { first: 1_000, most: 30_000 };

/** Follows the panel's events while somebody is signed in and the page is visible; returns what ends that. */
export function followEvents(): () => void {
  const end = new AbortController();
  void run(end.signal);
  return () => end.abort();
}

async function run(end: AbortSignal): Promise<void> {
  let last = '';
  let wait = RETRY.first;
  while (!end.aborted) {
    await visible(end);
    let heard = false;
    try {
      await follow(end, last, (id) => {
        last = id;
        heard = true;
      });
    } catch {
      // The panel is away, or the connection was lost; the screens say so when their own reads fail.
    }
    if (live.set(false)) void queryClient.invalidateQueries();
    wait = heard ? RETRY.first : Math.min(wait * 2, RETRY.most);
    if (!end.aborted) await pause(wait * (0.5 + Math.random() / 2), end);
  }
}

async function follow(end: AbortSignal, last: string, received: (id: string) => void): Promise<void> {
  const token = session.token();
  if (token === null) return;
  const lost = new AbortController();
  const hide = () => { if (document.hidden) lost.abort(); };
  document.addEventListener('visibilitychange', hide);
  let silence = setTimeout(() => lost.abort(), SILENCE);
  try {
    const headers = { authorization: `Bearer ${token}`, ...(last === '' ? {} : { 'last-event-id': last }) };
    const signal = AbortSignal.any([end, lost.signal]);
    const response = await fetch(`${root}api/events`, { headers, signal, cache: 'no-store', credentials: 'omit' });
    if (response.status === 401 && token === session.token()) session.end('ended');
    if (!response.ok || response.body === null) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => lost.abort(), SILENCE);
      const { events, rest } = parse(text + value);
      text = rest;
      for (const event of events) {
        received(event.id);
        apply(event.name, JSON.parse(event.data));
      }
    }
  } finally {
    clearTimeout(silence);
    document.removeEventListener('visibilitychange', hide);
  }
}

function apply(name: string, data: unknown): void {
  if (name === 'ready') {
    const { resumed, all_hosts } = data as { resumed: boolean; all_hosts: boolean };
    const was = live.set(all_hosts);
    // What was read before the stream began may be old; on the first page load it was read just now.
    if (!resumed || was !== all_hosts) void queryClient.invalidateQueries({ predicate: (query) => query.state.dataUpdatedAt > 0 });
  }
  if (name === 'changed') {
    const changes = data as Change[];
    const predicate = (query: Query) => changes.some((change) => concerns(change, query.queryKey, query.state.data));
    void queryClient.invalidateQueries({ predicate });
  }
}

/** Resolves when the page is visible. */
function visible(end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !end.aborted) return;
      document.removeEventListener('visibilitychange', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    end.addEventListener('abort', look);
    look();
  });
}

function pause(milliseconds: number, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    end.addEventListener('abort', () => { clearTimeout(timer); resolve(); });
  });
}
