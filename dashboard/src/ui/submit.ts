// Sending a form: one at a time, with its error and the texts of refused fields.

import { useRef, useState } from 'react';
import { ApiError } from '../api/errors.ts';

export interface Submit {
  busy: boolean;
  error: unknown;
  /** Texts of refused fields by name. */
  refused: Record<string, string>;
  /** Runs the work; false if it failed, or if other work runs already. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
}

export function useSubmit(): Submit {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const running = useRef(false);
  const run = async (work: () => Promise<unknown>) => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setError(null);
    try {
      await work();
      return true;
    } catch (caught) {
      setError(caught);
      return false;
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { busy, error, refused: error instanceof ApiError ? error.fields : {}, run };
}
