// What rtm.js, listener.js and broadcast_da.js offer to a page. docs/protocol.md explains the words.

/** A place in a channel's log; `channel` only where it is kept for a wildcard (docs/protocol.md, section 6). */
interface RtmPosition {
  epoch: string;
  offset: number;
  channel?: string;
}

interface RtmPublication {
  channel: string;
  eventName: string | null;
  payload: any;
  meta?: Record<string, any>;
  id: string;
  epoch: string;
  offset: number;
}

interface RtmGap {
  /** The name that was subscribed: a channel, or a prefix ending in `*`. */
  channel: string;
  /** From where the server was asked to go on, and from where it does. What lies between is lost to this page. */
  since: RtmPosition;
  position: RtmPosition;
}

interface RtmPresence {
  channel: string;
  connections: number;
  /** How many different users. */
  users: number;
  /** Who they are, sorted; null once the server has counted more changes than it names. */
  names: string[] | null;
  joined: string[];
  left: string[];
}

interface RtmRefusal {
  channel: string;
  /** A code of docs/protocol.md, section 9. */
  code: string;
  message: string;
}

interface RtmCallbacks {
  onPublication?: (publication: RtmPublication) => void;
  /** Publications may be missing: read the page's data anew. */
  onGap?: (gap: RtmGap) => void;
  /** The subscription was refused, or a right has ended. */
  onError?: (refusal: RtmRefusal) => void;
  /** Asks for presence too. Never called for wildcards, and where the server's namespace has none. */
  onPresence?: (presence: RtmPresence) => void;
}

interface RtmSubscription {
  /** As given to subscribe(); empty: all that the token grants. */
  readonly channel: string;
  unsubscribe(): void;
}

type RtmState = 'disconnected' | 'connecting' | 'connected' | 'closed';

interface RtmStateChange {
  state: RtmState;
  previous: RtmState;
  /** WebSocket close code; 0 where the client itself gave up on the socket. */
  code: number;
  reason: string;
  /** Milliseconds until the next attempt; null where none is planned. */
  retryInMs: number | null;
}

interface RtmOptions {
  /** ws:, wss:, http:, https: or a path of the page's own server. */
  url: string;
  /** Leave out in open mode. */
  token?: string;
  /** Called for a new token when the present one ends; also for the first one where `token` is not given. */
  getToken?: () => string | Promise<string>;
  /** What a reload of this very page has in common, to find its positions again: application, page, session. */
  scope?: string;
}

interface RtmConnection {
  readonly url: string;
  readonly state: RtmState;
  /** Null until connected, and in open mode. */
  readonly user: string | null;
  /** What the token grants, as the server says. */
  readonly grants: readonly string[];
  /** `channel` may end in `*`; empty or left out means all that the token grants. */
  subscribe(channel: string | null | undefined, callbacks: RtmCallbacks): RtmSubscription;
  /** Tells every change of state. Returns a function that ends the telling. */
  onState(listener: (change: RtmStateChange) => void): () => void;
  /** For good, and for every subscription that shares this connection. */
  close(): void;
}

interface RtmFrame {
  url: string;
  direction: 'in' | 'out';
  /** As on the wire, but a token is replaced by an ellipsis. */
  text: string;
}

interface RtmListenerConfig extends RtmOptions {
  /** Tells two dynamic actions with the same settings apart. */
  id?: string;
  /** Empty: all that the token grants. May end in `*`. */
  channel?: string;
  /** Empty: all. */
  eventName?: string;
  /** Custom event to fire on `document`; rtm-message unless given. */
  apexEvent?: string;
  /** Asked for a new token by apex.server.plugin when there is one; not in open mode. */
  ajaxIdentifier?: string;
  /** What a message does beside firing the event; `['item']` unless given, `[]` for nothing. */
  actions?: ('item' | 'refresh' | 'notify')[];
  /** Item to set; unless given the message names it by `payload.itemName`. */
  itemName?: string;
  /** Static ids of regions to refresh. */
  regions?: string[];
  /** Text of the notification; `#payload.value#` and the like are filled in. */
  template?: string;
  /** A region is refreshed at most once in this time; 1000 unless given. */
  refreshIntervalMs?: number;
  /** A refresh waits a random part of this time, so that pages do not ask all at once; 500 unless given. */
  refreshSpreadMs?: number;
  /** A page in a hidden tab refreshes when it is looked at again. */
  waitWhileHidden?: boolean;
  /** Asks who else listens to the channel; `rtm-presence` tells. */
  presence?: boolean;
}

interface RtmBroadcastConfig {
  ajaxIdentifier?: string;
  /** The page item whose value is sent. */
  itemName?: string;
  /** Further items whose values go into session state with the call. */
  pageItems?: string[];
  onError?: 'show' | 'log' | 'ignore' | 'stop';
}

/** A subscription with what it belongs to. */
interface RtmWish extends RtmSubscription {
  callbacks: RtmCallbacks;
}

/** How subscriptions.js reaches the server. */
interface RtmPort {
  /** Sends a command; returns its id. */
  say(command: Record<string, unknown>): number;
  /** Asks for flush() to be called some time later: the server could not do it now. */
  retry(): void;
}

/** All that a page wants of one connection. */
interface RtmSubscriptions {
  add(channel: string, callbacks: RtmCallbacks): RtmSubscription;
  grant(user: string | null, grants: readonly string[]): void;
  flush(): void;
  reset(): void;
  hear(frame: any): void;
  save(): void;
  leave(): void;
  stay(): void;
}

interface Rtm {
  /** One connection for each address and owner of the token. Throws TypeError where `url` is none. */
  connect(options: RtmOptions): RtmConnection;
  /** Shows every frame of every connection of this page. Returns a function that ends it. */
  trace(listener: (frame: RtmFrame) => void): () => void;
  listener(this: unknown, context?: ApexActionContext, config?: RtmListenerConfig): void;
  /** Not for pages: what subscriptions.js gives to rtm.js. */
  _parts: {
    Subscriptions: new (storeKey: string, port: RtmPort) => RtmSubscriptions;
    takes(name: string, channel: string, user: string | null): boolean;
    tell<T>(listeners: Iterable<((argument: T) => void) | undefined>, argument: T): void;
  };
  /** Not for pages: what actions.js gives to listener.js. */
  _act(publication: RtmPublication, settings: RtmListenerConfig): void;
  broadcast(this: unknown, context?: ApexActionContext, config?: RtmBroadcastConfig): boolean | void;
}

interface Window {
  rtm: Rtm;
}
