// The panel's HTTP API. Every screen calls it through `api`; types come from the panel's openapi.json.

import createClient, { type Middleware } from 'openapi-fetch';
import { fetchEarly } from './early.ts';
import { ApiError } from './errors.ts';
import { root } from './root.ts';
import type { components, paths } from './schema.d.ts';
import { session } from './session.ts';

type Schemas = components['schemas'];
export type User = Schemas['UserResponse'];
export type Admin = Schemas['AdminResponse'];
export type Service = Schemas['ServiceResponse'];
export type Inbound = Schemas['InboundResponse'];
export type Host = Schemas['HostResponse'];
export type PanelNode = Schemas['NodeResponse'];
export type Series = Schemas['TrafficSeries'];
export type Cluster = Schemas['ClusterResponse'];
export type Explanation = Schemas['ExplanationResponse'];
export type { Schemas };

/** Seconds without an answer before a request that reads is given up, and one that writes: the panel watches an engine with
 * a new configuration for up to 40 s, and a change goes on without its client. */
const TIMEOUT = { read: 30, write: 120 };

const signing: Middleware = {
  async onRequest({ request }) {
    // Reads of open screens wait for the admin who signs in again.
    await session.goesOn(request.signal);
    const token = session.token();
    if (token !== null) request.headers.set('authorization', `Bearer ${token}`);
    return new Request(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout((request.method === 'GET' ? TIMEOUT.read : TIMEOUT.write) * 1000)]) });
  },
  async onResponse({ request, response }) {
    // The answer may belong to the session before this one.
    const sent = request.headers.get('authorization');
    if (response.status === 401 && sent !== null && sent === `Bearer ${session.token()}`) session.end('ended');
    // An admin whose role requires a second factor has to set one up first: nothing else is answered.
    if (response.status === 403 && !location.hash.startsWith('#/me')) {
      const answer: unknown = await response.clone().json().catch(() => null);
      if (typeof answer === 'object' && answer !== null && 'code' in answer && answer.code === 'second_factor_required') location.hash = '#/me';
    }
  },
};

export const api = createClient<paths>({ baseUrl: root.replace(/\/$/, ''), cache: 'no-store', credentials: 'omit', fetch: fetchEarly });
api.use(signing);

/** The data of an answer; an error of the API is thrown. */
export async function data<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new ApiError(response.status, error, response.headers);
  return data as T;
}

/** Signs in and begins the session; `otp` is for admins with a second factor. */
export async function signIn(username: string, password: string, otp: string): Promise<void> {
  await begin('api/admins/token', new URLSearchParams({ grant_type: 'password', username, password, ...(otp === '' ? {} : { otp }) }));
}

/** Makes the first admin with the code of a setup link, and begins its session. */
export async function makeFirstAdmin(code: string, username: string, password: string): Promise<void> {
  await begin('api/setup', JSON.stringify({ code, username, password }), { 'content-type': 'application/json' });
}

/** Signs out, here at once and at the panel as soon as it answers. */
export function signOut(): void {
  const token = session.token();
  const id = session.id();
  session.end(null);
  if (token === null || id === null) return;
  // Without an answer, the token is good until it expires: nobody has it any more.
  void fetch(`${root}api/sessions/${id}`, { method: 'DELETE', headers: { authorization: `Bearer ${token}` }, credentials: 'omit', keepalive: true }).catch(() => undefined);
}

async function begin(path: string, body: BodyInit, headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch(root + path, { method: 'POST', body, headers, credentials: 'omit' });
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer, response.headers);
  session.start((answer as Schemas['Token']).access_token);
}
