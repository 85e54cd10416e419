// The panel's HTTP API. Every screen calls it through `api`; types come from the panel's openapi.json.

import createClient, { type Middleware } from 'openapi-fetch';
import { ApiError } from './errors.ts';
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

/** The panel's root: the dashboard may lie below any path, and its page says how far. */
const marked = document.querySelector<HTMLMetaElement>('meta[name="panel-root"]')?.content ?? '../';
export const root = new URL(marked, new URL('.', document.baseURI)).href;

/** Seconds without an answer before a request that reads is given up, and one that writes: the panel watches an engine with
 * a new configuration for up to 40 s, and a change goes on without its client. */
const TIMEOUT = { read: 30, write: 120 };

const signing: Middleware = {
  onRequest({ request }) {
    const token = session.token();
    if (token !== null) request.headers.set('authorization', `Bearer ${token}`);
    return new Request(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout((request.method === 'GET' ? TIMEOUT.read : TIMEOUT.write) * 1000)]) });
  },
  onResponse({ request, response }) {
    // The answer may belong to the session before this one.
    const sent = request.headers.get('authorization');
    if (response.status === 401 && sent !== null && sent === `Bearer ${session.token()}`) session.end('ended');
  },
};

export const api = createClient<paths>({ baseUrl: root.replace(/\/$/, ''), cache: 'no-store', credentials: 'omit' });
api.use(signing);

/** The data of an answer; an error of the API is thrown. */
export async function data<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new ApiError(response.status, error, response.headers);
  return data as T;
}

/** Signs in and begins the session. */
export async function signIn(username: string, password: string): Promise<void> {
  await begin('api/admins/token', new URLSearchParams({ grant_type: 'password', username, password }));
}

/** Makes the first admin with the code of a setup link, and begins its session. */
export async function makeFirstAdmin(code: string, username: string, password: string): Promise<void> {
  await begin('api/setup', JSON.stringify({ code, username, password }), { 'content-type': 'application/json' });
}

async function begin(path: string, body: BodyInit, headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch(root + path, { method: 'POST', body, headers, credentials: 'omit' });
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer, response.headers);
  session.start((answer as Schemas['Token']).access_token);
}
