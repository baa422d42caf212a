import { Get, Query, Req, Res } from '@nestjs/common';
import { headerOf, type AuthRequest } from '../http/auth-request.js';
import { Public } from '../http/auth.decorators.js';
import { SCRIPT, STYLESHEET, type Asset } from './assets/assets.js';
import { PageAnswers } from './page-answers.js';
import { Pages } from './pages.decorator.js';

/** The two files of the pages, and the way in. */
@Pages()
export class AssetPages {
  constructor(private readonly answers: PageAnswers) {}

  @Public()
  @Get('p/account.css')
  stylesheet(@Req() request: AuthRequest, @Res() response: object, @Query('v') version: unknown): unknown {
    return this.serve(request, response, STYLESHEET, version);
  }

  @Public()
  @Get('p/account.js')
  script(@Req() request: AuthRequest, @Res() response: object, @Query('v') version: unknown): unknown {
    return this.serve(request, response, SCRIPT, version);
  }

  /** For good under the address that names its content; of another version, as during a deployment, not at all. */
  private serve(request: AuthRequest, response: object, { type, text, version }: Asset, asked: unknown): unknown {
    const etag = `"${version}"`;
    const isKept = (headerOf(request, 'if-none-match') ?? '').includes(etag);
    const headers = {
      'Content-Type': type,
      ETag: etag,
      'Cache-Control': asked === version ? 'public, max-age=31536000, immutable' : 'no-cache',
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Resource-Policy': 'same-origin',
    };
    return this.answers.reply(response, headers, isKept ? '' : text, isKept ? 304 : 200);
  }
}
