// A code editor (CodeMirror), loaded when it is needed.
//
// It lives in a shadow root: there CodeMirror adopts constructed style sheets, which the panel's policy allows; in the
// document it would add a style element, which it does not.

import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { json } from '@codemirror/lang-json';
import { yaml } from '@codemirror/lang-yaml';
import { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting, syntaxTree } from '@codemirror/language';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { EditorState, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useRef } from 'react';
import { useI18n } from '../i18n/index.tsx';
import { type KeyHint, useKeyHints } from '../ui/keys.ts';
import { faultOfJson } from './json.ts';

export type Syntax = 'text' | 'json' | 'yaml';
export interface Fault { line: number; column: number; at: number }

/** Milliseconds without typing before the syntax is checked. */
const PAUSE = 250;
/** Characters beyond which the syntax is left to the panel. */
const LONGEST = 1_000_000;

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--accent)' },
  { tag: [tags.string, tags.attributeValue], color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: 'var(--attention)' },
  { tag: [tags.comment, tags.meta], color: 'var(--soft)', fontStyle: 'italic' },
]);

const look = EditorView.theme({
  '&': { backgroundColor: 'var(--ground)', color: 'var(--text)', fontSize: '12.5px', border: '1px solid var(--edge)', borderRadius: '6px', overflow: 'hidden' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '1px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '19px', minBlockSize: '260px', maxBlockSize: '62vh', overflow: 'auto' },
  '.cm-content': { caretColor: 'var(--text)' },
  '.cm-cursor': { borderInlineStartColor: 'var(--text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'color-mix(in srgb, var(--accent) 26%, transparent)' },
  '.cm-gutters': { backgroundColor: 'var(--raised)', color: 'var(--soft)', border: 'none' },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--accent) 7%, transparent)' },
  '.cm-fault': { backgroundColor: 'var(--bad-tint)', boxShadow: 'inset 3px 0 0 var(--bad)' },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--tint)', outline: '1px solid var(--edge)' },
  '.cm-searchMatch': { backgroundColor: 'var(--attention-tint)', outline: '1px solid var(--attention)' },
  '.cm-searchMatch-selected': { outline: '2px solid var(--attention)' },
  '.cm-selectionMatch': { backgroundColor: 'var(--attention-tint)' },
  '.cm-panels': { backgroundColor: 'var(--raised)', color: 'var(--text)', borderColor: 'var(--line)' },
  '.cm-textfield, .cm-button': { backgroundColor: 'var(--ground)', backgroundImage: 'none', color: 'var(--text)', border: '1px solid var(--edge)', borderRadius: '4px', fontSize: '13px' },
  '.cm-panel.cm-search label': { fontSize: '13px' },
  '.cm-panel.cm-search [name=close]': { color: 'var(--text)' },
});

const setFault = StateEffect.define<number | null>();
const faultMark = Decoration.line({ class: 'cm-fault' });
const fault = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let now = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(setFault)) now = effect.value === null ? Decoration.none : Decoration.set([faultMark.range(transaction.state.doc.lineAt(effect.value).from)]);
    }
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** The place of the first fault of the syntax. */
function faultOf(state: EditorState, syntax: Syntax): number | null {
  if (state.doc.length > LONGEST || syntax === 'text') return null;
  if (syntax === 'json') return faultOfJson(state.doc.toString());
  let at: number | null = null;
  syntaxTree(state).iterate({ enter: (node) => { if (at === null && node.type.isError) at = node.from; return at === null; } });
  return at;
}

const KEYS: KeyHint[] = [['Ctrl F', 'keys.find'], ['Tab', 'keys.indent'], ['Esc Tab', 'keys.leave']];

export default function CodeEditor(props: {
  text: string;
  syntax: Syntax;
  label: string;
  onChange: (text: string) => void;
  onFault: (fault: Fault | null) => void;
  /** Gets a function that puts the cursor at a place. */
  onReady: (goTo: (at: number) => void) => void;
}) {
  const { t } = useI18n();
  useKeyHints(KEYS);
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const view = useRef<EditorView | null>(null);
  useEffect(() => {
    const host = box.current;
    if (host === null) return;
    const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
    let timer: ReturnType<typeof setTimeout> | undefined;
    // In the shadow root, so that the editor can name it as its description.
    const hint = document.createElement('p');
    hint.id = 'keys';
    hint.textContent = t('editor.keys');
    hint.style.cssText = 'margin: 6px 0 0; font-size: 13px; color: var(--soft)';
    if (document.documentElement.dir === 'rtl') hint.dir = 'rtl';
    const check = (editor: EditorView) => {
      const at = faultOf(editor.state, props.syntax);
      const line = at === null ? null : editor.state.doc.lineAt(Math.min(at, editor.state.doc.length));
      editor.dispatch({ effects: setFault.of(line === null ? null : line.from) });
      latest.current.onFault(at === null || line === null ? null : { line: line.number, column: Math.min(at, line.to) - line.from + 1, at: Math.min(at, line.to) });
    };
    const editor = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: latest.current.text,
        extensions: [
          lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), highlightActiveLine(), highlightSelectionMatches(), search({ top: true }),
          keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, indentWithTab]),
          props.syntax === 'json' ? json() : props.syntax === 'yaml' ? yaml() : [],
          syntaxHighlighting(colours), look, fault,
          EditorView.contentAttributes.of({ 'aria-label': latest.current.label, 'aria-describedby': hint.id, spellcheck: 'false' }),
          EditorState.phrases.of({
            Find: t('editor.find'), Replace: t('editor.replace_by'), next: t('editor.next'), previous: t('editor.previous'), all: t('editor.all'),
            'match case': t('editor.case'), 'by word': t('editor.word'), regexp: t('editor.pattern'), replace: t('editor.replace'), 'replace all': t('editor.replace_all'), close: t('close'),
          }),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged) return;
            latest.current.onChange(update.state.doc.toString());
            clearTimeout(timer);
            timer = setTimeout(() => check(editor), PAUSE);
          }),
        ],
      }),
    });
    root.append(hint);
    view.current = editor;
    check(editor);
    latest.current.onReady((at) => {
      editor.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) });
      editor.focus();
    });
    return () => {
      clearTimeout(timer);
      editor.destroy();
      hint.remove();
      view.current = null;
    };
  }, [props.syntax, t]);
  // A text from elsewhere, such as the one that runs.
  useEffect(() => {
    const editor = view.current;
    if (editor === null) return;
    // As lines: the document has no line ends, and a text with others is not another one.
    const given = editor.state.toText(props.text);
    if (given.eq(editor.state.doc)) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: given } });
  }, [props.text]);
  return <div ref={box} className="code" dir="ltr" />;
}
