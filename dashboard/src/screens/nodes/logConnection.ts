// The WebSocket of an engine's log, which connects again when it breaks.

import { api, data } from '../../api/client.ts';
import { root } from '../../api/root.ts';
import { session } from '../../api/session.ts';

export type Connection =
  | { state: 'connecting' }
  | { state: 'open' }
  /** Tries again. `error`: why it failed, from the API; `reason`: from the panel when it closed the log. */
  | { state: 'waiting'; error?: unknown; reason?: string }
  /** The token is not valid any more. */
  | { state: 'refused' };

/** Subprotocols of the log; the token travels as one of them, so that it is in no URL. */
const PROTOCOL = 'sarban.log';
const BEARER = 'sarban.bearer.';
/** Close code with which the panel ends the log of an admin that may not read it any more. */
const POLICY = 1008;
/** Milliseconds before the next try: the first, and the most. */
const WAIT = [1_000, 30_000] as const;
/** Milliseconds in which a new connection sends lines that are known. */
const REPEATING = 2_000;

export interface LogEvents {
  line: (text: string) => void;
  state: (now: Connection) => void;
  /** A connection after the first begins with lines that were received already; then no more. */
  repeats: (begin: boolean) => void;
}

/** Follows a log until the returned function is called. */
export function follow(node: number, engine: string, events: LogEvents): () => void {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait: number = WAIT[0];
  let ended = false;
  let first = true;
  let leave: () => void = () => {};
  const url = `${root.replace(/^http/, 'ws')}api/nodes/${node}/${encodeURIComponent(engine)}/logs?include_buffer=true`;

  const again = (why: { error?: unknown; reason?: string }) => {
    events.state({ state: 'waiting', ...why });
    timer = setTimeout(connect, wait);
    wait = Math.min(wait * 2, WAIT[1]);
  };
  // A browser does not say why a handshake failed. The engine's status fails for the same reasons, with words.
  const ask = async () => {
    try {
      await data(api.GET('/api/nodes/{node_id}/{backend}/stats', { params: { path: { node_id: node, backend: engine } } }));
      if (!ended) again({});
    } catch (error) {
      if (!ended) again({ error });
    }
  };
  // An ended session goes on when its admin signs in again, which may have happened before the panel closes the log.
  const connectWithAnother = (refused: string | null) => {
    leave();
    const connectWithNew = () => {
      const token = session.token();
      if (token === null || token === refused) return;
      leave();
      connect();
    };
    leave = session.subscribe(connectWithNew);
    connectWithNew();
  };
  const connect = () => {
    const token = session.token();
    if (ended) return;
    if (token === null) return connectWithAnother(null);
    events.state({ state: 'connecting' });
    let opened = false;
    socket = new WebSocket(url, [PROTOCOL, BEARER + token]);
    socket.onopen = () => {
      opened = true;
      wait = WAIT[0];
      events.state({ state: 'open' });
      if (!first) {
        events.repeats(true);
        timer = setTimeout(() => events.repeats(false), REPEATING);
      }
      first = false;
    };
    socket.onmessage = (event) => events.line(String(event.data));
    socket.onclose = (event) => {
      clearTimeout(timer);
      if (ended) return;
      if (event.code === POLICY) {
        events.state({ state: 'refused' });
        connectWithAnother(token);
      }
      else if (opened) again({ reason: event.reason });
      else void ask();
    };
  };
  connect();
  return () => {
    ended = true;
    leave();
    clearTimeout(timer);
    socket?.close();
  };
}
