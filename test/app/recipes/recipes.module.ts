import { Module } from '@nestjs/common';
import { DownloadsController } from './downloads.controller.js';
import { TwoFactorController } from './two-factor.controller.js';

/** What an application builds on single-use tokens, limits and mail: copy what you need. */
@Module({ controllers: [TwoFactorController, DownloadsController] })
export class RecipesModule {}
