// Passkeys in this browser: what the panel asks of authenticators, and their answers as JSON (WebAuthn).

import { ApiError } from './errors.ts';
import type { Schemas } from './client.ts';
import { root } from './root.ts';
import { session } from './session.ts';

/** True if this browser can have passkeys for this address: it has to be secure, and to have a name. */
export const hasPasskeys = (): boolean =>
  window.isSecureContext && 'PublicKeyCredential' in window && !/^[\d.]+$|:/.test(location.hostname);

/** Why an authenticator made or used no passkey: it has one already, or nobody used one in time. */
export class PasskeyError extends Error {
  readonly isThere: boolean;

  constructor(cause: unknown) {
    super('no passkey', { cause });
    this.isThere = cause instanceof DOMException && cause.name === 'InvalidStateError';
  }
}

const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (byte) => byte.charCodeAt(0));
const text = (buffer: ArrayBuffer): string => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

const TRANSPORTS = ['ble', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb'];

/** Asks for a new passkey. */
export async function createPasskey(options: unknown): Promise<Record<string, never>> {
  const asked = options as PublicKeyCredentialCreationOptionsJSON;
  const excludeCredentials = (asked.excludeCredentials ?? []).map(({ id }) => ({ type: 'public-key' as const, id: bytes(id) }));
  const user = { ...asked.user, id: bytes(asked.user.id) };
  const publicKey = { ...asked, challenge: bytes(asked.challenge), user, excludeCredentials } as PublicKeyCredentialCreationOptions;
  const made = await credential(navigator.credentials.create({ publicKey }));
  const response = made.response as AuthenticatorAttestationResponse;
  return answer(made, {
    clientDataJSON: text(response.clientDataJSON),
    attestationObject: text(response.attestationObject),
    transports: (response.getTransports?.() ?? []).filter((one) => TRANSPORTS.includes(one)),
  });
}

/** Signs in with a passkey and begins the session. */
export async function signInWithPasskey(): Promise<void> {
  const begun = await post<Schemas['PasskeyOptions']>('api/passkey-sign-in/options', {});
  const asked = begun.options as unknown as PublicKeyCredentialRequestOptionsJSON;
  const publicKey = { ...asked, challenge: bytes(asked.challenge), allowCredentials: [] } as PublicKeyCredentialRequestOptions;
  const used = await credential(navigator.credentials.get({ publicKey }));
  const response = used.response as AuthenticatorAssertionResponse;
  const signed = answer(used, {
    clientDataJSON: text(response.clientDataJSON),
    authenticatorData: text(response.authenticatorData),
    signature: text(response.signature),
    userHandle: response.userHandle === null ? null : text(response.userHandle),
  });
  session.start((await post<Schemas['Token']>('api/passkey-sign-in', { state: begun.state, credential: signed })).access_token);
}

async function credential(asked: Promise<Credential | null>): Promise<PublicKeyCredential> {
  const found = await asked.catch((error: unknown) => { throw new PasskeyError(error); });
  if (found === null) throw new PasskeyError(null);
  return found as PublicKeyCredential;
}

function answer(of: PublicKeyCredential, response: object): Record<string, never> {
  const id = text(of.rawId);
  return { id, rawId: id, type: of.type, authenticatorAttachment: of.authenticatorAttachment ?? undefined, response, clientExtensionResults: {} } as unknown as Record<string, never>;
}

async function post<T>(path: string, body: unknown): Promise<T> {
  const response = await fetch(root + path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' }, credentials: 'omit' });
  const answered: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answered, response.headers);
  return answered as T;
}
