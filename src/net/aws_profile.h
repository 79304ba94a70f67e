/* SPDX-License-Identifier: Apache-2.0 */
/* The files of AWS's tools: ~/.aws/credentials and ~/.aws/config. */
#ifndef LITHOPS_NET_AWS_PROFILE_H
#define LITHOPS_NET_AWS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

/* What one profile says; NULL: nothing. Owned. */
struct lithops__aws_profile {
    bool found;
    char *access_key, *secret_key, *session_token;
    char *region;
    char *role_arn, *role_session_name, *external_id, *duration_seconds;
    char *source_profile, *credential_source;
    char *web_identity_token_file;
    char *credential_process;
    char *sso_session, *sso_start_url, *sso_region, *sso_account_id, *sso_role_name;
};
void lithops__aws_profile_deinit(struct lithops__aws_profile *profile);

/* Add what `text`, the contents of a file, says of a profile; what is known already stays. A line
 * that makes no sense is passed over. False: out of memory.
 * @param section  "name" and "profile name" are sections of the profile "name" */
bool lithops__aws_profile_parse(const char *text, size_t len, const char *name,
                                struct lithops__aws_profile *profile);
/* The settings of [sso-session name] instead. */
bool lithops__aws_session_parse(const char *text, size_t len, const char *name,
                                struct lithops__aws_profile *profile);

/* Read both files, at their usual places or where AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE
 * say. A missing file says nothing. False: out of memory. */
bool lithops__aws_profile_read(const char *name, struct lithops__aws_profile *profile);
/* ~/.aws/`name`, which the caller frees; NULL: no home, or out of memory. */
char *lithops__aws_home_file(const char *name);
/* A file of up to 1 MiB, NUL-terminated; NULL if it cannot be read. lithops__secret_free(). */
char *lithops__read_small_file(const char *path);

#endif
