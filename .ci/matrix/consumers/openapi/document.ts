import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { withAuthPaths } from 'nestjs-latchkey/openapi';

/** Called in `main.ts` before `app.listen`, after `setGlobalPrefix` and `enableVersioning`. */
export function setUpDocument(app: INestApplication, openapi = '3.0.0') {
  const config = new DocumentBuilder().setTitle('Notes').setOpenAPIVersion(openapi).build();
  const document = withAuthPaths(SwaggerModule.createDocument(app, config), app);
  SwaggerModule.setup('docs', app, document);
  return document;
}
