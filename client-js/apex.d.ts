// The part of the APEX JavaScript API that this project calls. Source: Oracle APEX JavaScript API Reference, release
// 24.2 (docs.oracle.com/en/database/oracle/apex/24.2/aexjs/), namespace by namespace as noted.

/** `this` inside the JavaScript function of a dynamic action (apex.da, "JavaScript function context"). */
interface ApexActionContext {
  triggeringElement?: Element | Document;
  affectedElements?: unknown;
  /** "load" when fired by page load or on initialization, else a jQuery event. */
  browserEvent?: unknown;
  data?: unknown;
  action: ApexAction;
  /** Only where the action waits for its result; it must then be given to apex.da.resume. */
  resumeCallback?: (errorOccurred: boolean) => void;
}

interface ApexAction {
  name?: string;
  action?: string;
  ajaxIdentifier?: string;
  waitForResult?: boolean;
  stopExecutionOnError?: boolean;
  attribute01?: string | null;
  attribute02?: string | null;
  attribute03?: string | null;
  attribute04?: string | null;
  attribute05?: string | null;
}

/** apex.item */
interface ApexItem {
  getValue(): string | string[];
  setValue(value: unknown, displayValue?: string | null, suppressChangeEvent?: boolean): void;
}

/** apex.server.plugin: options.success and options.error are jQuery.ajax's. */
interface ApexAjaxOptions {
  dataType?: string;
  loadingIndicator?: unknown;
  success?: (data: any, textStatus: string, jqXHR: unknown) => void;
  error?: (jqXHR: unknown, textStatus: string, errorThrown: string) => void;
}

/** apex.message */
interface ApexMessage {
  type: 'error';
  location: 'page' | 'inline' | Array<'page' | 'inline'>;
  pageItem?: string;
  message: string;
  /** True: the message is escaped before it is shown. */
  unsafe?: boolean;
}

interface Apex {
  item: {
    (name: string): ApexItem;
    isItem(name: string): boolean;
  };
  event: { trigger(selector: unknown, eventName: string, data?: object): boolean };
  server: { plugin(ajaxIdentifier: string, data: object, options?: ApexAjaxOptions): PromiseLike<any> };
  da: { resume(callback: ApexActionContext['resumeCallback'], errorOccurred: boolean): void };
  message: {
    showPageSuccess(message: string): void;
    showErrors(errors: ApexMessage | ApexMessage[]): void;
    clearErrors(pageItem?: string): void;
  };
  region: {
    (staticId: string): { refresh(): void };
    isRegion(staticId: string): boolean;
  };
  debug: Record<'error' | 'warn' | 'info' | 'trace' | 'log', (...words: unknown[]) => void>;
  env: { APP_ID: string; APP_PAGE_ID: string; APP_SESSION: string; APP_USER: string };
  jQuery: any;
}

interface Window {
  apex: Apex;
}
