/** What the configuration decides about the routes. */
export interface RouteFacts {
  readonly cookieName: string;
  /** Whether a login may ask to be remembered. */
  readonly remembers: boolean;
  /** Whether a bearer token may be a JWT. */
  readonly takesJwts: boolean;
  /** Whether handlers of the application may take API keys. */
  readonly takesApiKeys: boolean;
  /** Whether a list of sessions has the kind of each. */
  readonly listsKinds: boolean;
  /** Whether the cookie is a signed one, which is announced by a header. */
  readonly announcesCookie: boolean;
  readonly clearsSiteData: boolean;
  /** Whether a login may have a second step. */
  readonly asksSecondFactor: boolean;
  /** Whether a browser that is not logged in is sent to a page. */
  readonly hasLoginPage: boolean;
  /** Whether the user directory cannot end what is stored nowhere. */
  readonly cannotEndTokens: boolean;
}
