// What rtm.js with its parts, listener.js and broadcast_da.js offer to a page. docs/protocol.md explains the words.

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
  /**
   * Who is here: user and APEX session. Tabs share a socket where this and the owner of the token are the same; the `sid`
   * of the token will do, without either every page has a socket of its own.
   */
  session?: string;
  /** False: a socket of its own, whatever other tabs do. `rtm.share = false` says so for the whole page. */
  share?: boolean;
}

/** A message that came, and when: milliseconds since 1970. */
interface RtmRecent {
  at: number;
  publication: RtmPublication;
}

/** What is asked of the server, and how far it got. */
interface RtmFeed {
  readonly name: string;
  readonly state: 'idle' | 'sent' | 'catching up' | 'live' | 'refused';
  readonly position: RtmPosition | undefined;
}

interface RtmConnection {
  readonly url: string;
  readonly state: RtmState;
  /** Null until connected, and in open mode. */
  readonly user: string | null;
  /** What the token grants, as the server says. */
  readonly grants: readonly string[];
  /** Whether this page holds the socket that tabs share, hears through another page's, or has its own. */
  readonly role: 'leader' | 'follower' | 'alone';
  readonly feeds: readonly RtmFeed[];
  /** The latest messages, oldest first. */
  readonly recent: readonly RtmRecent[];
  /** Lets a message happen again, on this page only. */
  replay(publication: RtmPublication): void;
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
  /** What the user sees of any failure; unless given, what the server or the browser says. */
  errorText?: string;
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
  readonly feeds: RtmFeed[];
  readonly recent: RtmRecent[];
  replay(publication: RtmPublication): void;
  add(channel: string, callbacks: RtmCallbacks): RtmSubscription;
  grant(user: string | null, grants: readonly string[]): void;
  flush(): void;
  reset(): void;
  hear(frame: any): void;
  save(): void;
  leave(): void;
  stay(): void;
}

interface RtmClaims {
  /** User and session, as one text; empty where the token cannot be read. */
  owner: string;
  session: string | number | undefined;
  grants: string[];
  /** Seconds since 1970. */
  endsAt: number;
}

/** The tokens of a page. */
interface RtmWallet {
  readonly isShort: boolean;
  readonly credentials: { token?: string | undefined; tokens?: (string | undefined)[] };
  add(options: Pick<RtmOptions, 'token' | 'getToken'>): boolean | null;
  end(): boolean;
  renew(time?: number): Promise<boolean>;
}

/** The part of a WebSocket that a connection uses. */
interface RtmSocket {
  readonly readyState: number;
  /** Not of a WebSocket. */
  readonly role?: 'leader' | 'follower';
  onopen: (() => void) | null;
  onmessage: ((event: { data: string }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

interface RtmTabs {
  socket(): RtmSocket;
}

/** What pages of one browser say to each other. */
interface RtmTabsNews {
  kind: 'leader' | 'hello' | 'say' | 'bye' | 'beat' | 'alive' | 'welcome' | 'frame' | 'end';
  id?: string;
  page?: string;
  text?: string;
  to?: string[];
  term?: string;
  code?: number;
  reason?: string;
}

/** How mux.js reaches its pages. */
interface RtmMuxPort {
  deliver(to: string[], text: string): void;
  /** Code 0 with `moved`: ask again at once; with `alone`: on a socket of your own. */
  end(id: string, code: number, reason: string): void;
}

interface RtmMux {
  join(id: string): void;
  say(id: string, text: string): void;
  leave(id: string): void;
  close(): void;
}

interface RtmMuxPage {
  id: string;
  tokens: string[];
  /** Subscribed names, with the position after which an exact one is delivered. */
  names: Map<string, RtmPosition | null | undefined>;
  presence: Set<string>;
  /** Answered when all that was asked for before is there. */
  pings: any[];
}

interface RtmMuxSubscription {
  name: string;
  isPrefix: boolean;
  /** The page whose question made it, while that is not answered or its replay still runs. */
  asker: string;
  isBusy: boolean;
  members: Set<string>;
  waiting: [string, any][];
  since: RtmPosition | undefined;
  begin: RtmPosition | undefined;
  last: RtmPosition | undefined;
  /** How many publications had come before it. */
  from: number;
  presence: RtmSnapshot | undefined;
}

/** Who is here: connections by user, or how many users where nobody knows their names. */
interface RtmSnapshot {
  connections: number;
  users: number | Record<string, number>;
}

interface RtmMuxQuestion {
  id: string;
  type: 'connect' | 'refresh' | 'subscribe' | 'settle' | 'other';
  command: any;
  sub?: RtmMuxSubscription;
  /** When: milliseconds since 1970. */
  at: number;
}

interface RtmKept extends RtmPosition {
  channel: string;
  number: number;
  text: string;
  replayed: string;
}

interface RtmReplay {
  readonly count: number;
  add(publication: RtmPublication, text: string, replayed: string): void;
  after(sub: RtmMuxSubscription, since: RtmPosition, user: string | null): string[] | null;
}

interface Rtm {
  /** One connection for each address and owner of the token. Throws TypeError where `url` is none. */
  connect(options: RtmOptions): RtmConnection;
  /** False before the first listener: tabs do not share a socket. */
  share?: boolean;
  /** Those that are not closed. */
  readonly connections: RtmConnection[];
  /** Opens or closes a panel on the page: state, subscriptions, the last messages; any of them can be replayed here. */
  debug?: () => void;
  /** Not for pages: what panel.js gives to debug.js. */
  panel?: () => void;
  /** Shows every frame of every connection of this page. Returns a function that ends it. */
  trace(listener: (frame: RtmFrame) => void): () => void;
  listener(this: unknown, context?: ApexActionContext, config?: RtmListenerConfig): void;
  /** Not for pages: what the other files give to rtm.js. */
  _parts: {
    Subscriptions: new (storeKey: string, port: RtmPort) => RtmSubscriptions;
    takes(name: string, channel: string, user: string | null): boolean;
    tell<T>(listeners: Iterable<((argument: T) => void) | undefined>, argument: T): void;
    Wallet: new (options: RtmOptions) => RtmWallet;
    claimsOf(token: string | undefined): RtmClaims;
    fewest(tokens: string[]): string[];
    fit(tokens: string[]): boolean;
    Replay: new () => RtmReplay;
    meet(before: RtmSnapshot, news: any): RtmSnapshot;
    Mux: new (url: string, port: RtmMuxPort) => RtmMux;
    tabsFor?: (key: string, url: string) => RtmTabs | undefined;
  };
  /** Not for pages: what actions.js gives to listener.js. */
  _act(publication: RtmPublication, settings: RtmListenerConfig): void;
  broadcast(this: unknown, context?: ApexActionContext, config?: RtmBroadcastConfig): boolean | void;
}

interface Window {
  rtm: Rtm;
}
