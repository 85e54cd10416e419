// The client rules as a list to edit: the first pattern that matches decides.

import type { Schemas } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Button, Choose, Panel } from '../../ui/basics.tsx';

export type Rule = Schemas['RuleResponse'];
const RESULTS = ['links', 'base64-links', 'xray', 'sing-box', 'clash', 'clash-meta', 'template', 'block'] as const;

export function Rules({ rules, onChange }: { rules: Rule[]; onChange: (rules: Rule[]) => void }) {
  const { t } = useI18n();
  const move = (index: number, by: number) => {
    const next = [...rules];
    const [rule] = next.splice(index, 1);
    if (rule !== undefined) next.splice(index + by, 0, rule);
    onChange(next);
  };
  const change = (index: number, next: Partial<Rule>) => onChange(rules.map((rule, at) => (at === index ? { ...rule, ...next } : rule)));
  return (
    <Panel title={t('settings.rules')} aside={<Button icon="plus" onClick={() => onChange([{ pattern: '', result: 'links' }, ...rules])}>{t('settings.add_rule')}</Button>}>
      <p className="soft small" style={{ marginBlockEnd: 8 }}>{t('settings.rules_hint')}</p>
      <ol className="lines">
        {rules.map((rule, index) => (
          <li key={index} style={{ flexWrap: 'wrap', gap: 8 }}>
            <input className="input mono" style={{ flex: '1 1 260px', inlineSize: 'auto' }} aria-label={t('settings.pattern_of', { count: index + 1 })} spellCheck={false} value={rule.pattern} onChange={(event) => change(index, { pattern: event.target.value })} />
            <span style={{ flex: '0 0 140px' }}>
              <Choose aria-label={t('settings.result_of', { count: index + 1 })} value={rule.result} onChange={(event) => change(index, { result: event.target.value as (typeof RESULTS)[number] })}>
                {RESULTS.map((result) => <option key={result}>{result}</option>)}
              </Choose>
            </span>
            <span className="row" style={{ gap: 0 }}>
              <Button icon="up" look="quiet" label={t('settings.move_up', { count: index + 1 })} disabled={index === 0} onClick={() => move(index, -1)} />
              <Button icon="down" look="quiet" label={t('settings.move_down', { count: index + 1 })} disabled={index === rules.length - 1} onClick={() => move(index, 1)} />
              <Button icon="trash" look="quiet" label={t('settings.remove_rule', { count: index + 1 })} onClick={() => onChange(rules.filter((_, at) => at !== index))} />
            </span>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
