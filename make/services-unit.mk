# Objects of services that unit tests link: services are programs, not libraries.

$(BUILD)/tests/test_auth_password: $(BUILD)/obj/services/auth/password.o
$(BUILD)/tests/test_auth_rsa: $(BUILD)/obj/services/auth/rsa.o $(BUILD)/obj/services/auth/secret.o
$(BUILD)/tests/test_auth_username: $(BUILD)/obj/services/auth/username.o
$(BUILD)/tests/test_user_profile_contact: $(BUILD)/obj/services/user-profile/contact.o
