import type { AuthConfig } from '../../config/auth-config.js';
import { lifetimesOf, type Aal } from './aal.js';
import { spelled } from './spelled.js';
import type { Row } from './checklist-row.js';

/** The tokens of sessions, their cookie, how long they live, and who ends them. */
export function sessionRows(config: AuthConfig, aal: Aal | undefined): Row[] {
  return [...tokenRows(config), ...cookieRows(config), ...lifetimeRows(config, aal), ...controlRows(config)];
}

function tokenRows({ session, cookie }: AuthConfig): Row[] {
  const isStateless = session.scheme === 'signed-cookie';
  return [
    ['T1', 'A7.2.3', 'Token of 128 bits or more', isStateless ? 'signed identity' : `256 bits, ${session.tokenFormat}`],
    ['T6', 'A16.2.5', 'Tokens are stored hashed', isStateless ? 'not stored' : 'SHA-256'],
    [
      'T7',
      'N5.1.1',
      'The cookie names nothing',
      isStateless ? 'user id and email in it' : `'${cookie.name}', opaque`,
      isStateless && 'the signed cookie can be read by whoever holds it',
    ],
  ];
}

function cookieRows({ cookie, cookieName, routes }: AuthConfig): Row[] {
  return [
    ['K1', 'A3.3.1', 'Secure', cookie.secure ? 'on' : 'off', !cookie.secure && 'the cookie goes over plain http'],
    [
      'K1',
      'A3.3.3',
      '__Host- prefix',
      cookieName,
      !cookieName.startsWith('__Host-') && 'other hosts of the domain can set this cookie',
    ],
    [
      'K2',
      'N5.1.1',
      'Path and Domain',
      `Path=${cookie.path}, ${cookie.domain === undefined ? 'no Domain' : `Domain=${cookie.domain}`}`,
      cookie.domain !== undefined && 'every host of the domain gets the cookie',
    ],
    [
      'K3',
      'A3.3.2',
      'HttpOnly, SameSite',
      `HttpOnly, SameSite=${cookie.sameSite}`,
      cookie.sameSite === 'none' && 'foreign sites send it; only the Origin check is left',
    ],
    [
      'K7',
      'A14.3.1',
      'Logout clears the browser',
      routes?.clearSiteData ? 'Clear-Site-Data' : 'the cookie only',
      !routes?.clearSiteData && 'routes.clearSiteData is off: cached pages may stay in the browser',
    ],
  ];
}

function lifetimeRows({ session }: AuthConfig, aal: Aal | undefined): Row[] {
  const target = lifetimesOf(aal ?? '1');
  return [
    [
      'O1',
      'A7.3.2',
      'Overall timeout',
      spelled(session.absoluteLifetime),
      session.absoluteLifetime > target.overall &&
        `${target.name}: ${spelled(target.overall)}${aal ? '' : ' (SHOULD); users who are active log in less often'}`,
    ],
    [
      'O2',
      'A7.3.1',
      'Inactivity timeout',
      spelled(session.ttl),
      session.ttl > target.idle && `${target.name}: ${spelled(target.idle)}`,
    ],
    ['O3', 'N5.2', 'Activity moves the inactivity timeout only', session.extendBelow === 0 ? 'moves nothing' : 'yes'],
    ['O4', 'N5.2', 'Either timeout ends the session', 'yes, at the exact instant'],
    ['O6', 'A7.1.1', 'Values and deviations are documented', 'this list'],
  ];
}

function controlRows({ session, routes }: AuthConfig): Row[] {
  const isStateless = session.scheme === 'signed-cookie';
  return [
    ['X1', 'A7.4.1', 'Ended tokens are refused', isStateless ? 'list of ended tokens, cutoff' : 'row deleted, cutoff'],
    [
      'X4',
      'A7.4.5',
      'Operators end sessions',
      'sessions revoke',
      isStateless && 'signed cookies end by the account’s cutoff only',
    ],
    [
      'X5',
      'A7.5.2',
      'Users see and end their sessions',
      routes ? `GET /${routes.path}/sessions` : 'no routes',
      isStateless
        ? 'signed cookies are not listed'
        : routes
          ? 'ASVS 7.5.2 (level 2) wants a new proof of the user before a session is ended; the routes ask for none'
          : 'routes are off: offer SessionService.listForUser and revokeByHandle yourself',
    ],
    [
      'X6',
      'A7.1.2',
      'Parallel sessions',
      isStateless ? 'not counted' : `${session.maxPerUser}, then the least recently used ends`,
      isStateless && 'signed cookies are not counted',
    ],
    [
      'X7',
      'A7.4.4',
      'Logout',
      routes ? `POST /${routes.path}/logout` : 'no routes',
      !routes && 'offer one of your own',
    ],
  ];
}
