// The keys of what is on the screen, which `?` lists.

import { useEffect } from 'react';
import type { Key } from '../i18n/index.tsx';

/** Keys, apart by spaces, and the text that says what they do. */
export type KeyHint = readonly [keys: string, key: Key];

const shown = new Set<readonly KeyHint[]>();

export const keysOnScreen = (): KeyHint[] => [...new Map([...shown].flat().map((hint) => [hint[0], hint])).values()];

/** Lists keys as long as the component is on the screen. `hints` must stay the same object. */
export function useKeyHints(hints: readonly KeyHint[]): void {
  useEffect(() => {
    shown.add(hints);
    return () => void shown.delete(hints);
  }, [hints]);
}
