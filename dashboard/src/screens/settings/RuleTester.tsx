// "This user agent gets…": the rule that decides, the format, the app and its core, with the rules as they are typed.

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { type Schemas, api, data } from '../../api/client.ts';
import { useI18n } from '../../i18n/index.tsx';
import { Facts, Field, Loaded, Notice, Panel } from '../../ui/basics.tsx';
import type { Rule } from './Rules.tsx';

/** Milliseconds without a key until a test is sent. */
const PAUSE = 300;

/** `rules` are those that are not saved yet. */
export function RuleTester({ rules }: { rules: Rule[] | undefined }) {
  const { t } = useI18n();
  const [typed, setTyped] = useState('');
  const [body, setBody] = useState<Schemas['RuleTestRequest']>({ user_agent: '' });
  useEffect(() => {
    const timer = setTimeout(() => setBody({ user_agent: typed.trim(), ...(rules === undefined ? {} : { rules: rules as Schemas['RuleRequest'][] }) }), PAUSE);
    return () => clearTimeout(timer);
  }, [typed, rules]);
  const found = useQuery({
    queryKey: ['settings', 'test', body],
    queryFn: ({ signal }) => data(api.POST('/api/system/settings/subscription/test', { body, signal })),
    enabled: body.user_agent !== '',
    placeholderData: keepPreviousData,
    // Saved rules may have changed.
    staleTime: 0,
  });
  return (
    <Panel title={t('tester.title')}>
      <div className="stack" style={{ gap: 12 }}>
        <Field label={t('tester.label')} hint={t('tester.hint')}>{(attributes) => <input {...attributes} className="input mono" dir="ltr" spellCheck={false} placeholder="SFA/1.12.0 (570; sing-box 1.12.1)" value={typed} onChange={(event) => setTyped(event.target.value)} />}</Field>
        <div aria-live="polite">
          {body.user_agent !== '' && <Loaded of={found} rows={3}>{(answer) => <Answer answer={answer} />}</Loaded>}
        </div>
      </div>
    </Panel>
  );
}

function Answer({ answer }: { answer: Schemas['RuleTestResponse'] }) {
  const { t } = useI18n();
  const { rule, position, reads_best: best } = answer;
  const core = answer.core === null || answer.core === undefined ? t('tester.unknown') : <bdi dir="ltr">{answer.core} {answer.core_version}</bdi>;
  return (
    <div className="stack" style={{ gap: 12 }}>
      <Facts facts={[
        [t('tester.rule'), rule === null || rule === undefined ? t('tester.no_rule') : <>{t('tester.rule_at', { count: position ?? 0 })} <code dir="ltr" style={{ overflowWrap: 'anywhere' }}>{rule.pattern}</code></>],
        [t('tester.gets'), answer.format !== null && answer.format !== undefined ? <code dir="ltr">{rule?.result}</code> : rule?.result === 'template' ? t('tester.web_page') : t('settings.nothing')],
        [t('offer.app'), answer.program === null || answer.program === undefined ? t('tester.unknown') : <bdi dir="ltr">{answer.program}</bdi>],
        [t('tester.core'), <>{core}{answer.program && !answer.core_version && <span className="soft"> · {t('tester.current')}</span>}</>],
      ]} />
      {best !== null && best !== undefined && rule?.result !== best && <Notice tone="attention">{t('tester.better', { format: best })}</Notice>}
    </div>
  );
}
