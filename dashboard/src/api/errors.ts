// Errors of the API as values: status, text, texts by field, request id.

export class ApiError extends Error {
  readonly status: number;
  readonly detail: string;
  readonly fields: Record<string, string>;
  readonly requestId: string | null;
  /** Seconds to wait before the next try, if the panel says so. */
  readonly retryAfter: number | null;
  /** The error's name for programs, if it has one. */
  readonly code: string | null;

  constructor(status: number, body: unknown, headers: Headers | null) {
    const detail = typeof body === 'object' && body !== null && 'detail' in body ? body.detail : undefined;
    const fields: Record<string, string> = {};
    if (typeof detail === 'object' && detail !== null) {
      for (const [name, text] of Object.entries(detail)) fields[name] = String(text);
    }
    super(typeof detail === 'string' ? detail : `status ${status}`);
    this.status = status;
    this.detail = typeof detail === 'string' ? detail : '';
    this.fields = fields;
    this.requestId = headers?.get('x-request-id') ?? null;
    const seconds = Number(headers?.get('retry-after') ?? Number.NaN);
    this.code = typeof body === 'object' && body !== null && 'code' in body ? String(body.code) : null;
    this.retryAfter = Number.isFinite(seconds) ? seconds : null;
  }
}

/** Status of an error; 0 when the panel could not be reached. */
export function statusOf(error: unknown): number {
  return error instanceof ApiError ? error.status : 0;
}
