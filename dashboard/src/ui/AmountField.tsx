// A field for an amount of data: a number and its unit.

import type { ReactNode } from 'react';
import { useI18n } from '../i18n/index.tsx';
import { Choose, Field } from './basics.tsx';
import { SIZE, type Unit } from './size.ts';

interface AmountProps {
  label: string;
  hint?: ReactNode;
  problem: string | undefined;
  placeholder?: string;
  autoFocus?: boolean;
  /** As typed. */
  amount: string;
  unit: Unit;
  onAmount: (amount: string) => void;
  onUnit: (unit: Unit) => void;
}

export function AmountField({ label, hint, problem, placeholder, autoFocus = false, amount, unit, onAmount, onUnit }: AmountProps) {
  const { t } = useI18n();
  return (
    <Field label={label} hint={hint} problem={problem}>
      {(attributes) => (
        <div className="row">
          <input {...attributes} className="input" inputMode="decimal" autoComplete="off" autoFocus={autoFocus} placeholder={placeholder} value={amount} onChange={(event) => onAmount(event.target.value)} />
          <span style={{ flex: '0 0 88px' }}>
            <Choose aria-label={t('unit')} value={unit} onChange={(event) => onUnit(event.target.value as Unit)}>
              {Object.keys(SIZE).map((unit) => <option key={unit}>{unit}</option>)}
            </Choose>
          </span>
        </div>
      )}
    </Field>
  );
}
