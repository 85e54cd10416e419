// Sending a form: one at a time, with its error and the texts of refused fields.

import { useState } from 'react';
import { ApiError } from '../api/errors.ts';

export interface Submit {
  busy: boolean;
  error: unknown;
  /** Texts of refused fields by name. */
  refused: Record<string, string>;
  /** Runs the work; false if it failed. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
}

export function useSubmit(): Submit {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (work: () => Promise<unknown>) => {
    setBusy(true);
    setError(null);
    try {
      await work();
      return true;
    } catch (caught) {
      setError(caught);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, refused: error instanceof ApiError ? error.fields : {}, run };
}
