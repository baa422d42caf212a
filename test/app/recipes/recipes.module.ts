import { Module } from '@nestjs/common';
import { DownloadsController } from './downloads.controller.js';

/** What an application builds on single-use tokens: copy what you need. */
@Module({ controllers: [DownloadsController] })
export class RecipesModule {}
