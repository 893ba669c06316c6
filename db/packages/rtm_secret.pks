create or replace package rtm_secret
  authid definer
  accessible by (package rtm_transport, package rtm_token)
as
  /**
   * The only door to the stored secrets. ACCESSIBLE BY closes it to SQL statements, anonymous blocks and every other
   * unit, so that "select rtm_secret..." in a report, a log call or an injected fragment fails to compile. It does not
   * protect the table from its own owner: whoever can select from RTM_CONFIG can read them.
   */

  /**
   * @param p_name rtm_config_api.c_api_key, c_token_secret, c_wallet_password or c_proxy
   * @return the stored value, or null
   */
  function stored_value(p_name in varchar2) return varchar2;
end rtm_secret;
/
