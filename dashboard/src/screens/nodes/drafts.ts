// Edited configurations that were not applied yet: they outlive the screen, not the session.

import { session } from '../../api/session.ts';

export interface Draft { text: string; format: number }

const drafts = new Map<string, Draft>();
session.subscribe(() => drafts.clear());

export const draftOf = (node: number, engine: string): Draft | undefined => drafts.get(`${node} ${engine}`);
export function setDraft(node: number, engine: string, draft: Draft | null): void {
  if (draft === null) drafts.delete(`${node} ${engine}`);
  else drafts.set(`${node} ${engine}`, draft);
}
