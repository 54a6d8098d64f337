/* SPDX-License-Identifier: Apache-2.0 */
/* bv_server of beava.h: a server in the caller's process. It prints nothing of its own, reads
 * neither the environment nor a file, leaves signals alone, and opens an admin listener only where
 * an address is given for one. */
#include <stdlib.h>
#include <string.h>

#include "beava.h"
#include "server/config.h"
#include "server/server.h"
#include "util/error.h"

struct bv_server {
    struct server *server;
};

static enum bv_status
apply_settings(struct config *config, const bv_server_options *options, struct bv_error *err)
{
    for (uint32_t i = 0; i < options->setting_count; i++) {
        const char *setting = options->settings[i];
        const char *equals = strchr(setting, '=');
        char name[64];
        enum bv_status status;

        if (equals == NULL || (size_t)(equals - setting) >= sizeof name) {
            return bv_error_set(err, BV_CONFIG, "expected name=value, got \"%.200s\"", setting);
        }
        memcpy(name, setting, (size_t)(equals - setting));
        name[equals - setting] = '\0';
        status = config_set(config, name, equals + 1, err);
        if (status != BV_OK) {
            return status;
        }
    }
    return config_finish(config, err);
}

bv_status
bv_server_start(bv_server **out, const bv_server_options *options, bv_error *err)
{
    enum bv_status status = BV_OK;
    struct server_addresses addresses;
    struct config *config = NULL;
    bv_server *handle = NULL;

    if (out == NULL || options == NULL || options->struct_size < sizeof *options) {
        return bv_error_set(err, BV_MISUSE, "options are missing or of another version");
    }
    config = malloc(sizeof *config);
    handle = calloc(1, sizeof *handle);
    if (config == NULL || handle == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory for the server");
        goto done;
    }
    config_init(config);
    status = apply_settings(config, options, err);
    if (status == BV_OK) {
        status = server_resolve(&addresses, config, err);
    }
    if (status == BV_OK) {
        addresses.has_admin = config_is_set(config, CONFIG_ADMIN_ADDR);
        status = server_open(&handle->server, config, &addresses, err);
    }
    if (status == BV_OK) {
        status = server_serve(handle->server, config, options->is_null != 0, err);
    }
    if (status != BV_OK) {
        goto done;
    }
    *out = handle;
    handle = NULL;
done:
    if (handle != NULL) {
        server_stop(handle->server, NULL);
    }
    free(handle);
    free(config);
    return status;
}

static uint16_t
port_of(const bv_server *handle, enum transport transport)
{
    const struct net_address *address = server_address(handle->server, transport);

    return address == NULL ? 0 : net_address_port(address);
}

uint16_t
bv_server_http_port(const bv_server *server)
{
    return port_of(server, TRANSPORT_HTTP);
}

uint16_t
bv_server_tcp_port(const bv_server *server)
{
    return port_of(server, TRANSPORT_TCP);
}

int
bv_server_stop(bv_server *handle)
{
    int code;

    if (handle == NULL) {
        return 0;
    }
    code = server_stop(handle->server, NULL);
    free(handle);
    return code;
}
