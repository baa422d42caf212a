import { Controller, Get, NotFoundException, Param, Post, Query } from '@nestjs/common';
import { EphemeralTokenService, Public } from 'nestjs-latchkey';

/** A link that another program can open once, within five minutes, for one file. */
@Controller('files')
export class DownloadsController {
  constructor(private readonly tokens: EphemeralTokenService) {}

  @Post(':id/link')
  async link(@Param('id') id: string) {
    const token = await this.tokens.issue('slicer_download', { resource: `file:${id}` });
    return { url: `/files/${encodeURIComponent(id)}?token=${token}` };
  }

  /** A link for another file is refused here, and stays good for its own. */
  @Public()
  @Get(':id')
  async download(@Param('id') id: string, @Query('token') token: unknown) {
    if (typeof token !== 'string' || !(await this.tokens.consume('slicer_download', token, `file:${id}`))) {
      throw new NotFoundException('The link is invalid or has been used.');
    }
    return { file: id };
  }
}
