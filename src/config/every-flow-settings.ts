/** What every flow can be told. */
export class FlowSettings {
  /**
   * Whether its routes are mounted below `routes.path`. Default true. Without them its service can be injected all the
   * same. With `forRootAsync` it is written beside the factory.
   */
  routes: boolean = true;
}
