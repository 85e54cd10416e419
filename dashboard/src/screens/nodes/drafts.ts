// Edited configurations that were not applied yet: they outlive the screen and the end of the session, until the admin signs
// out. They hold keys, so the browser does not store them: a reload asks before it loses them.

import { session } from '../../api/session.ts';
import { guardPage } from '../../ui/unsaved.tsx';

export interface Draft { text: string; format: number }

const drafts = new Map<string, Draft>();
let admin = session.admin();
session.subscribe(() => {
  if (session.admin() !== admin) drafts.clear();
  admin = session.admin();
});
guardPage(() => drafts.size > 0);

export const draftOf = (node: number, engine: string): Draft | undefined => drafts.get(`${node} ${engine}`);
export function setDraft(node: number, engine: string, draft: Draft | null): void {
  if (draft === null) drafts.delete(`${node} ${engine}`);
  else drafts.set(`${node} ${engine}`, draft);
}
