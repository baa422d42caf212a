import type { Scenario } from '../harness/scenario.js';
import { creation } from './login/creation-part.js';
import { overHttp } from './login/http-part.js';
import { promises } from './login/promises-part.js';

export const scenario: Scenario = {
  name: 'login',
  async run(bench) {
    const parts = [await creation(bench), await promises(bench), await overHttp(bench)];
    return {
      title: 'Login',
      about: parts.flatMap(({ about }) => about),
      tables: parts.flatMap(({ tables }) => tables),
      goals: parts.flatMap(({ goals }) => goals),
    };
  },
};
