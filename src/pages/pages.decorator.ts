import { applyDecorators, SetMetadata, UseFilters, UseGuards } from '@nestjs/common';
import { OriginGuard } from '../http/origin.guard.js';
import { SessionGuard } from '../http/session.guard.js';
import { PageErrorFilter } from './page-error.filter.js';

/** What `@ApiExcludeController` of @nestjs/swagger writes: pages are no part of the API. */
const EXCLUDED = 'swagger/apiExcludeController';

/**
 * A controller of pages. A form of a foreign page is refused as any other request of one is, by what the browser says of
 * its origin: so the forms need no token of their own against CSRF, the one to log in among them.
 */
export const Pages = () =>
  applyDecorators(UseGuards(OriginGuard, SessionGuard), UseFilters(PageErrorFilter), SetMetadata(EXCLUDED, [true]));
