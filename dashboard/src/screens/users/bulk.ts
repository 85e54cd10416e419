// Changes of many users: the panel makes each part whole or not at all, and the next part begins where it ended.

import { type Schemas, api, data } from '../../api/client.ts';
import type { UserQuery } from '../../api/queries.ts';

export type BulkAct = 'enable' | 'disable' | 'reset' | 'revoke' | 'delete' | 'extend' | 'add_data' | 'set_owner' | 'add_service' | 'remove_service';

/** The users of a bulk change: chosen ones, or all who match a filter. */
export type Selection = { ids: number[] } | { filter: UserQuery };

/** What an act needs besides the users. */
export interface BulkValues { seconds?: number; bytes?: number; admin_username?: string; service_id?: number }

const WORDS: Partial<Record<BulkAct, string>> = { revoke: 'revoke_sub' };
/** Ids of one request: a large one keeps other writers of SQLite waiting. The panel allows twice as many. */
const PART = 500;

/** A UUID for a request. `crypto.randomUUID` is there on https only. */
function newKey(): string {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20)].join('-');
}

/** A change that is under way. After a failure, `run` goes on with what is left; a part whose answer was lost is not made twice. */
export class BulkRun {
  /** Users who were selected so far, and those of them who are different now. */
  matched = 0;
  changed = 0;
  private stopped = false;
  private rest: number[] | null;
  private cursor: string | null = null;
  private key = newKey();

  constructor(private readonly selection: Selection) {
    this.rest = 'ids' in selection ? [...selection.ids] : null;
  }

  /** Ends the change behind the part that is being made. */
  stop(): void {
    this.stopped = true;
  }

  async run(act: BulkAct, values: BulkValues, onPart: () => void): Promise<void> {
    this.stopped = false;
    for (let more = true; more && !this.stopped;) {
      const users = this.rest === null
        ? { filter: (this.selection as { filter: UserQuery }).filter, ...(this.cursor === null ? {} : { cursor: this.cursor }) }
        : { ids: this.rest.slice(0, PART) };
      const body = { action: WORDS[act] ?? act, ...users, ...values, idempotency_key: this.key } as Schemas['BulkBody'];
      const answer = await data(api.POST('/api/users/bulk', { body }));
      this.key = newKey();
      this.matched += answer.matched;
      this.changed += answer.changed;
      this.cursor = answer.cursor ?? null;
      if (this.rest !== null) this.rest = this.rest.slice(PART);
      more = this.rest === null ? this.cursor !== null : this.rest.length > 0;
      onPart();
    }
  }
}
