/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in for GnuTLS, so that the program needs no TLS library.
 *
 * Enters:  the calls that Debian's archive of libmicrohttpd would make for HTTPS.
 * Leaves:  failures. The admin listener speaks plain HTTP: nothing but the set-up is ever called.
 * Owner:   nobody.
 *
 * Linked into the program beside the archive and nowhere else (CMakeLists.txt tries it first). The
 * signatures are not those of the real ones: no caller looks at more than "it did not work". */
#include <stddef.h>

int gnutls_global_init(void);
extern void *(*gnutls_malloc)(size_t size);
void *(*gnutls_malloc)(size_t size) = NULL;

int
gnutls_global_init(void)
{
    return 0; /* called when the program is loaded, whatever it will do */
}

#define STAND_IN(name)                                                                             \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        return -1;                                                                                 \
    }

STAND_IN(gnutls_alpn_set_protocols)
STAND_IN(gnutls_bye)
STAND_IN(gnutls_certificate_allocate_credentials)
STAND_IN(gnutls_certificate_free_credentials)
STAND_IN(gnutls_certificate_server_set_request)
STAND_IN(gnutls_certificate_set_dh_params)
STAND_IN(gnutls_certificate_set_retrieve_function2)
STAND_IN(gnutls_certificate_set_retrieve_function3)
STAND_IN(gnutls_certificate_set_x509_key_mem)
STAND_IN(gnutls_certificate_set_x509_key_mem2)
STAND_IN(gnutls_certificate_set_x509_trust_mem)
STAND_IN(gnutls_cipher_get)
STAND_IN(gnutls_credentials_set)
STAND_IN(gnutls_deinit)
STAND_IN(gnutls_dh_params_deinit)
STAND_IN(gnutls_dh_params_import_pkcs3)
STAND_IN(gnutls_dh_params_init)
STAND_IN(gnutls_global_deinit)
STAND_IN(gnutls_handshake)
STAND_IN(gnutls_init)
STAND_IN(gnutls_priority_deinit)
STAND_IN(gnutls_priority_init)
STAND_IN(gnutls_priority_set)
STAND_IN(gnutls_protocol_get_version)
STAND_IN(gnutls_psk_allocate_server_credentials)
STAND_IN(gnutls_psk_free_server_credentials)
STAND_IN(gnutls_psk_set_server_credentials_function)
STAND_IN(gnutls_record_check_pending)
STAND_IN(gnutls_record_get_direction)
STAND_IN(gnutls_record_recv)
STAND_IN(gnutls_record_send)
STAND_IN(gnutls_session_get_ptr)
STAND_IN(gnutls_session_set_ptr)
STAND_IN(gnutls_strerror)
STAND_IN(gnutls_transport_set_int2)
