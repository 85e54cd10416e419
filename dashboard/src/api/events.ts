// Changes that the panel announces. Open screens read again what changed, and poll less often while announcements arrive.
// Only a visible page follows: a browser has six connections to a panel, for all its tabs.

import { type Query } from '@tanstack/react-query';
import { type Change, concerns, parse } from './announcements.ts';
import { fetchEarly } from './early.ts';
import { live } from './live.ts';
import { queryClient } from './queries.ts';
import { root } from './root.ts';
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
    // A stream that ended goes on with the next one. While there is none, screens poll again, from now on.
    if (!heard && live.set(false)) gather(() => true);
    wait = heard ? RETRY.first : Math.min(wait * 2, RETRY.most);
    if (!end.aborted) await pause(wait * (0.5 + Math.random() / 2), end);
  }
}

async function follow(end: AbortSignal, last: string, received: (id: string) => void): Promise<void> {
  const token = session.token();
  if (token === null) return;
  const asked = Date.now();
  const lost = new AbortController();
  const hide = () => { if (document.hidden) lost.abort(); };
  document.addEventListener('visibilitychange', hide);
  let silence = setTimeout(() => lost.abort(), SILENCE);
  try {
    const headers = { authorization: `Bearer ${token}`, ...(last === '' ? {} : { 'last-event-id': last }) };
    const signal = AbortSignal.any([end, lost.signal]);
    const response = await fetchEarly(new Request(`${root}api/events`, { headers, signal, cache: 'no-store', credentials: 'omit' }));
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
        apply(event.name, JSON.parse(event.data), asked);
      }
    }
  } finally {
    clearTimeout(silence);
    document.removeEventListener('visibilitychange', hide);
  }
}

/** `asked`: when the stream was asked for; what was read later is not older than it. */
function apply(name: string, data: unknown, asked: number): void {
  if (name === 'ready') {
    const { resumed, all_hosts } = data as { resumed: boolean; all_hosts: boolean };
    live.set(all_hosts);
    if (!resumed) gather((query) => query.state.dataUpdatedAt < asked);
  }
  if (name === 'changed') {
    const changes = data as Change[];
    gather((query) => changes.some((change) => concerns(change, query.queryKey, query.state.data)));
  }
}

const gathered: ((query: Query) => boolean)[] = [];
let reading = false;

/** Reads again what was read and is concerned. One read at a time: a new change does not break off the read of the last. */
function gather(concerned: (query: Query) => boolean): void {
  gathered.push(concerned);
  if (!reading) void read();
}

async function read(): Promise<void> {
  reading = true;
  while (gathered.length > 0) {
    const now = gathered.splice(0);
    // An engine's configuration is read from its node, and on request only.
    const predicate = (query: Query) => query.queryKey[0] !== 'engine-config' && query.state.dataUpdatedAt > 0 && now.some((concerned) => concerned(query));
    await queryClient.invalidateQueries({ predicate });
  }
  reading = false;
}

/** Resolves when the page is visible. */
function visible(end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !end.aborted) return;
      document.removeEventListener('visibilitychange', look);
      end.removeEventListener('abort', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    end.addEventListener('abort', look);
    look();
  });
}

function pause(milliseconds: number, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      end.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    end.addEventListener('abort', done);
  });
}
